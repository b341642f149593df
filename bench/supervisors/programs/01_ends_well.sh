echo last word
