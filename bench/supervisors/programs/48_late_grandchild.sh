echo first
(sleep 0.7; echo last word) &
exit 5
