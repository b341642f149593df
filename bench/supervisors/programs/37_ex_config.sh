echo "settings.yml: database.dsn is missing" >&2
echo last word
exit 78
