echo "no input today"
echo last word
exit 3
