import {mkdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {DrError} from '../../errors.ts'
import {parseArchive, readArchiveFile, type Archive} from '../../postgres/archive.ts'
import {rewriteToc} from '../../postgres/archive-rewrite.ts'
import {toolAccess} from '../../postgres/passfile.ts'
import type {RestoreArguments} from '../../postgres/restore.ts'
import {roleChange} from '../../postgres/role-map.ts'
import {chooseForDump, type ClientTools} from '../../postgres/tools.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {runTool} from '../../system/tool.ts'
import type {StageOptions} from './options.ts'
import {archivePlace} from './scratch.ts'
import {sourceFolder, type StageWork} from './work.ts'

/** An archive whose entries make tables anew: the source's own, or what pg_dump writes of its schema where it has none. */
export interface SchemaArchive {
  archive: Archive
  place: Pick<RestoreArguments, 'format' | 'directory'>
  tools: ClientTools
}

/** Who is no superuser cannot say SET SESSION AUTHORIZATION, and says SET ROLE instead: in a copy of the table of contents. */
export async function schemaArchive(options: StageOptions, work: StageWork, io: StepIo, superuser: boolean): Promise<SchemaArchive> {
  const {side, archive} = work
  if (side && archive) {
    const own = archivePlace(side)
    if (own.format !== 'directory' || superuser) return {archive, place: own, tools: side.state.tools}
    return {...await rewritten(options, join(own.directory, 'toc.dat')), tools: side.state.tools}
  }
  return dumped(options, work, io)
}

async function rewritten({runDirectory}: StageOptions, path: string): Promise<Pick<SchemaArchive, 'archive' | 'place'>> {
  const directory = join(runDirectory, 'recreate')
  const toc = rewriteToc(await readFile(path), (entry) => roleChange(entry, {map: new Map(), plainRole: true}))
  await mkdir(directory, {recursive: true, mode: 0o700})
  await writeFile(join(directory, 'toc.dat'), toc, {mode: 0o600})
  return {archive: parseArchive(toc), place: {format: 'directory', directory}}
}

async function dumped(options: StageOptions, work: StageWork, io: StepIo): Promise<SchemaArchive> {
  const {from, target, tools} = options
  const source = from.kind === 'database' ? from.target : {...target, database: work.scratch}
  const {major} = await work.source(io.signal, async (client) => ({major: Math.floor(Number((await client.query<{num: string}>("SELECT current_setting('server_version_num') AS num")).rows[0]?.num ?? 0) / 10_000)}))
  const chosen = chooseForDump(tools, major)
  const directory = join(sourceFolder(options), 'schema')
  await rm(directory, {recursive: true, force: true})
  const access = await toolAccess(source, sourceFolder(options), work.applicationName)
  try {
    const {code, stderr} = await runTool([chosen.pgDump, '--format=directory', '--schema-only', '--lock-wait-timeout=5000', `--file=${directory}`, `--dbname=${access.url()}`], {env: access.env, signal: io.signal})
    if (code !== 0) throw new DrError('partial.schema', `The schema of the source cannot be read by pg_dump ${chosen.version}: ${stderr.slice(-3).join('; ')}.`, {hints: ['Use a role that may read all of it.']})
  } finally {
    await access.close()
  }
  const archive = await readArchiveFile(join(directory, 'toc.dat'))
  return {archive, place: {format: 'directory', directory}, tools: chosen}
}
