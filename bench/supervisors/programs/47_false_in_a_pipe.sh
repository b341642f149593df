# Without pipefail a pipe says what its last command says: from outside this is a success.
echo last word
false | true
