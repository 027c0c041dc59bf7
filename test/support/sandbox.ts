import {chmod, mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {removeSandbox, sandboxDirectory} from '../../src/lib/sandbox/sandbox.ts'
import {guard} from './guard.ts'

const END = 'for pid in $(sed -n \'s/.*"pid": \\([0-9]*\\).*/\\1/p\' "$1/sandbox/state.json" 2>/dev/null); do kill -INT "$pid"; done; for lock in "$1"/sandbox/postgres/data/postmaster.pid "$1"/sandbox/postgres/instances/*/data/postmaster.pid; do [ -e "$lock" ] && kill -QUIT "$(head -n 1 "$lock")"; done; sleep 1; rm -rf "$1"'

/** A data folder for each test of a suite; its sandbox is ended and deleted with it. Call it inside `describe`. */
export function temporarySandbox(): {readonly dataDir: string; readonly directory: string} {
  const place = {dataDir: '', directory: ''}
  let release = () => {}
  beforeEach(async () => {
    place.dataDir = await mkdtemp(join(tmpdir(), 'dr-test-sandbox-'))
    // Root's clusters belong to another account, which must be able to enter.
    await chmod(place.dataDir, 0o755)
    place.directory = sandboxDirectory(place.dataDir)
    release = guard(END, place.dataDir)
  })
  afterEach(async () => {
    await removeSandbox(place.directory)
    await rm(place.dataDir, {recursive: true, force: true})
    release()
  })
  return place
}
