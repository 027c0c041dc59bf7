import {chmod, chown, cp, readFile, stat} from 'node:fs/promises'
import {dirname, join, resolve} from 'node:path'
import {preflightError} from '../../errors.ts'
import type {Account} from '../../system/service.ts'
import type {ServerBinaries} from './binaries.ts'

const NOBODY: Account = {uid: 65_534, gid: 65_534}

/** PostgreSQL refuses to run as root: root's clusters belong to the account postgres, or else to nobody. */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':')).find(([name]) => name === 'postgres')
  return entry ? {uid: Number(entry[2]), gid: Number(entry[3])} : NOBODY
}

/** True when the account can enter every folder from the root down to this one. Folders that do not exist yet count as open. */
export async function reachableBy(account: Account | undefined, folder: string): Promise<boolean> {
  if (!account) return true
  const path = resolve(folder)
  const found = await stat(path).catch(() => undefined)
  if (found && !mayEnter(account, found)) return false
  return dirname(path) === path || reachableBy(account, dirname(path))
}

function mayEnter({uid, gid}: Account, found: {mode: number; uid: number; gid: number}): boolean {
  if (found.uid === uid) return (found.mode & 0o100) !== 0
  if (found.gid === gid) return (found.mode & 0o010) !== 0
  return (found.mode & 0o001) !== 0
}

/** Gives a folder of ours to the account, and refuses one that the account cannot get to. */
export async function handOver(account: Account | undefined, folder: string): Promise<void> {
  if (!account) return
  await chmod(folder, 0o755)
  if (!(await reachableBy(account, folder))) {
    throw preflightError('sandbox.unreachable', `PostgreSQL does not run as root, and the account ${account.uid} cannot enter ${folder}.`, {hints: ['run as an ordinary user', 'set DR_DATA_DIR to a folder that every user may enter, such as /var/lib/dashboarduz-dr']})
  }
  await chown(folder, account.uid, account.gid)
}

/** Binaries from a package in a private folder (root's home) are copied into `folder`; others must be open. */
export async function reachableBinaries(account: Account | undefined, binaries: ServerBinaries, folder: string): Promise<ServerBinaries> {
  if (await reachableBy(account, binaries.bin)) return binaries
  if (binaries.source !== 'package') {
    throw preflightError('sandbox.unreachable', `PostgreSQL does not run as root, and the account postgres cannot enter ${binaries.bin}.`, {hints: ['run as an ordinary user', 'set DR_POSTGRES_BIN to a folder that every user may enter']})
  }
  const copy = join(folder, `software-${binaries.version}`)
  await cp(dirname(binaries.bin), copy, {recursive: true, verbatimSymlinks: true, force: false})
  return {...binaries, bin: join(copy, 'bin')}
}
