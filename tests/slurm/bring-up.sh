#!/usr/bin/env bash
# Brings up Slurm on this one host, for tests: munged, slurmctld and slurmd, started by hand, with their files under a folder of their own.
# As root, on Debian or Ubuntu with the packages slurm-wlm and munge. Usage:
#
#   tests/slurm/bring-up.sh up DIR     installs what is missing, starts all three, waits until the node is idle, prints SLURM_CONF=…
#   tests/slurm/bring-up.sh down DIR   stops what `up` started there
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

up() {
  local dir=$1
  if [ "$(id -u)" != 0 ]; then say "Slurm is brought up as root: run this as root"; exit 1; fi
  if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >"/dev/null"
  fi
  mkdir -p "$dir"/{spool,state,log,munge}
  dir=$(cd "$dir" && pwd)
  # munged wants its folders to be its own and closed to others.
  chown -R munge:munge "$dir/munge"
  chmod 755 "$dir"
  chmod 711 "$dir/munge"
  if [ ! -s "$dir/munge/key" ]; then
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    chown munge:munge "$dir/munge/key"
  fi
  local host cpus memory_mb
  host=$(hostname -s)
  cpus=$(nproc)
  memory_mb=$(awk '/^MemTotal:/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat >"$dir/slurm.conf" <<CONF
ClusterName=sottovoce-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
MpiDefault=none
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
SlurmdSpoolDir=$dir/spool
StateSaveLocation=$dir/state
MinJobAge=10
JobRequeue=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory_mb State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$dir/slurm.conf
  # Debian's own munged, where it runs, has another key and socket: this one is beside it.
  if ! [ -S "$dir/munge/socket" ]; then
    runuser -u munge -- munged --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
      --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" --force
  fi
  [ -s "$dir/slurmctld.pid" ] && kill -0 "$(cat "$dir/slurmctld.pid")" 2>/dev/null || slurmctld -c
  [ -s "$dir/slurmd.pid" ] && kill -0 "$(cat "$dir/slurmd.pid")" 2>/dev/null || slurmd
  for _ in $(seq 60); do
    if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
      echo "SLURM_CONF=$SLURM_CONF"
      return
    fi
    sleep 0.5
  done
  say "the node is not idle after 30 s:"
  sinfo >&2 || true
  tail -n 20 "$dir"/log/*.log >&2 || true
  exit 1
}

down() {
  local dir=$1
  local file pid
  for file in slurmd.pid slurmctld.pid munge/pid; do
    [ -s "$dir/$file" ] || continue
    pid=$(cat "$dir/$file")
    kill "$pid" 2>/dev/null || continue
    # The next Slurm takes the same ports.
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
  done
}

case "${1:-}" in
  up) up "${2:?a folder}" ;;
  down) down "${2:?a folder}" ;;
  *) say "usage: $0 up|down DIR"; exit 2 ;;
esac
