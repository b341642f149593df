printf 'last word'
exit 6
