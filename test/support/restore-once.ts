import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {readArchiveFile, type Archive} from '../../src/lib/postgres/archive.ts'
import {listText, restoreLists} from '../../src/lib/postgres/restore-lists.ts'
import {restoreArguments, tryRestore, type RestoreEnd} from '../../src/lib/postgres/restore.ts'
import {findTools} from '../../src/lib/postgres/tools.ts'
import {runTool} from '../../src/lib/system/tool.ts'
import {clientTools, type ToolsMajor} from './tools.ts'

export interface StockArchive {
  archive: Archive
  directory: string
  remove(): Promise<void>
}

/** What stock pg_dump writes of this database, as a directory archive. */
export async function stockArchive(url: string, {major = 18, args = []}: {major?: ToolsMajor; args?: readonly string[]} = {}): Promise<StockArchive> {
  const home = await mkdtemp(join(tmpdir(), 'dr-stock-'))
  const directory = join(home, 'archive')
  const {code, stderr} = await runTool([join(await clientTools(major), 'pg_dump'), '--format=directory', `--file=${directory}`, ...args, url])
  if (code !== 0) throw new Error(stderr.join('\n'))
  return {archive: await readArchiveFile(join(directory, 'toc.dat')), directory, remove: () => rm(home, {recursive: true, force: true})}
}

/** One pg_restore of the whole archive, extension comments too, as `tryRestore` sees it. */
export async function restoreOnce({archive, directory}: StockArchive, url: string, {major = 18, serverMajor, jobs = 1, args = []}: {major?: ToolsMajor; serverMajor: number; jobs?: number; args?: readonly string[]}): Promise<RestoreEnd> {
  const [tools] = await findTools(await clientTools(major))
  if (tools === undefined) throw new Error('no tools')
  const {dropped} = restoreLists(archive, {serverMajor})
  const list = join(directory, '..', 'all.list')
  await writeFile(list, listText(archive.entries.filter((entry) => entry.kind === 'COMMENT' || !dropped.includes(entry))))
  const [program, ...rest] = restoreArguments(tools, {url: () => url}, {directory, list, database: '', jobs, verbose: true})
  return tryRestore([program, ...args, ...rest], {archive, tools, serverMajor, env: {}, signal: new AbortController().signal})
}
