#!/bin/sh
# Looks after the devices of a gateway: fleet.sh check | table | lost ID | backup PASSPHRASE-FILE FOLDER
set -eu

usmp=${USMP:-npx usmp}
keep=7

# The value of a text field in lines of JSON; empty for null. Names of devices are not read this way: they may hold any character.
field() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

check() {
  wrong=0
  devices=$($usmp device list --json)
  # Revoked and suspended ones are away because their owner said so.
  away=$(printf '%s\n' "$devices" | grep '"state":"active"\|"state":"rotating"' | grep '"online":false' | field id || true)
  for id in $away; do
    echo "away: $id"
    wrong=1
  done
  for id in $(printf '%s\n' "$devices" | grep '"state":"rotating"' | field id || true); do
    echo "has not taken over its new key: $id"
    wrong=1
  done
  refusals=$($usmp why --limit 20 --json)
  if [ -n "$refusals" ]; then
    printf '%s\n' "$refusals" | field cause | sort | uniq -c | awk '{ print "refused: " $2 ", " $1 " kinds" }'
    wrong=1
  fi
  $usmp audit verify --json > /dev/null || { echo "the audit does not verify: usmp audit verify"; wrong=1; }
  [ "$wrong" -eq 0 ] && echo "all is well"
  return "$wrong"
}

table() {
  echo "id;state;online;last seen"
  $usmp device list --json | while IFS= read -r line; do
    seen=$(printf '%s' "$line" | field lastSeenAt)
    case $line in *'"online":true'*) online=yes ;; *) online=no ;; esac
    echo "$(printf '%s' "$line" | field id);$(printf '%s' "$line" | field state);$online;${seen:-never}"
  done
}

lost() {
  $usmp device revoke "$1" --json > /dev/null
  $usmp audit verify --json > /dev/null
  echo "revoked: $1"
}

backup() {
  mkdir -p "$2"
  chmod 700 "$2"
  file=$2/fleet-$(date -u +%Y%m%dT%H%M%SZ).backup
  USMP_PASSPHRASE_FILE=$1 $usmp backup "$file" --json > /dev/null
  echo "written: $file"
  # Names are dates: their order is that of time.
  ls "$2" | sed -n '/^fleet-.*\.backup$/p' | sort -r | awk -v keep=$keep 'NR > keep' | while IFS= read -r old; do
    rm -- "$2/$old"
    echo "removed: $2/$old"
  done
}

case ${1:-} in
  check) check ;;
  table) table ;;
  lost) lost "${2:?the id of a device is missing}" ;;
  backup) backup "${2:?a file with a passphrase is missing}" "${3:?a folder is missing}" ;;
  *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
esac
