echo last word
no-such-program --load
