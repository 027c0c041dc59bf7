import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, globSync} from 'node:fs'
import {chmod, mkdir, mkdtemp, readFile, rename, rm} from 'node:fs/promises'
import {fileURLToPath} from 'node:url'

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
const cache = `${modules}/.cache/postgres-tools`

export type ToolsMajor = 17 | 18

const ready = new Map<ToolsMajor, Promise<string>>()

/** The bin directory with pg_dump, pg_restore, psql of this major: carved once out of a development dependency. */
export function clientTools(major: ToolsMajor): Promise<string> {
  const bin = ready.get(major) ?? unpacked(major)
  ready.set(major, bin)
  return bin
}

/** The newest client tools that the system has installed; those of 17 from the development dependencies when it has none. */
export async function systemTools(): Promise<{bin: string; major: number}> {
  const installed = globSync(['/usr/lib/postgresql/*/bin', '/opt/homebrew/opt/postgresql@*/bin', '/usr/local/opt/postgresql@*/bin']).filter((bin) => existsSync(`${bin}/pg_dump`))
  const found = installed.map((bin) => ({bin, major: majorOf(bin)})).sort((a, b) => b.major - a.major)[0]
  return found ?? {bin: await clientTools(17), major: 17}
}

const majorOf = (bin: string): number => Number(/\(PostgreSQL\) (\d+)/.exec(execFileSync(`${bin}/pg_dump`, ['--version'], {encoding: 'utf8'}))?.[1])

async function unpacked(major: ToolsMajor): Promise<string> {
  const home = `${cache}/${major}`
  if (!existsSync(`${home}/bin/pg_dump`)) await unpack(major, home)
  if (majorOf(`${home}/bin`) !== major) throw new Error(`${home} does not hold the client tools of PostgreSQL ${major}.`)
  return `${home}/bin`
}

/** Whoever renames first wins: runs side by side each unpack for themselves. */
async function unpack(major: ToolsMajor, home: string): Promise<void> {
  const [addon] = globSync(`${modules}/postgres-tools-${major}/*.node`)
  if (addon === undefined) throw new Error(`node_modules lacks postgres-tools-${major}: run npm ci`)
  await mkdir(cache, {recursive: true})
  const work = await mkdtemp(`${cache}/.${major}-`)
  try {
    await chmod(work, 0o755)
    carve(await readFile(addon), work)
    await rename(work, home)
  } catch (error) {
    if (!existsSync(`${home}/bin/pg_dump`)) throw error
  } finally {
    await rm(work, {recursive: true, force: true})
  }
}

/** The addon carries one tar.gz: the gzip header whose content is a tar with bin/pg_dump. What follows it in the addon is of no interest. */
function carve(addon: Buffer, into: string): void {
  for (let at = addon.indexOf('1f8b08', 0, 'hex'); at >= 0; at = addon.indexOf('1f8b08', at + 1, 'hex')) {
    const {status, stderr} = spawnSync('tar', ['-xz', '--strip-components=1', '-C', into], {input: addon.subarray(at), encoding: 'utf8', env: {...process.env, LC_ALL: 'C'}})
    if (existsSync(`${into}/bin/pg_dump`) && (status === 0 || stderr.includes('trailing garbage ignored'))) return
  }
  throw new Error('The addon holds no PostgreSQL archive.')
}
