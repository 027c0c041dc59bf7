import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {Finding} from '../../checks/finding.ts'
import {DrError} from '../../errors.ts'
import {parseArchive, type Archive} from '../../postgres/archive.ts'
import {chooseForRestore} from '../../postgres/tools.ts'
import {sha256Of} from '../../repository/checksum.ts'
import type {Manifest} from '../../repository/manifest.ts'
import {runTool} from '../../system/tool.ts'
import {contentOf, short, type Place} from './listing.ts'
import type {VerifyOptions} from './options.ts'
import {compareToc} from './toc.ts'

const TOC = 'toc.dat'

/** Reads toc.dat as dr and as pg_restore read it, and compares it with the manifest. */
export async function checkToc(place: Place, manifest: Manifest, options: VerifyOptions, signal: AbortSignal): Promise<{findings: Finding[]; bytes: number}> {
  const content = await contentOf(place, TOC, signal)
  const expected = manifest.members.find(({name}) => name === TOC)
  // The sizes were compared before; a table of contents that is not the one that was stored says nothing more.
  if (expected !== undefined && expected.bytes !== content.length) return {findings: [], bytes: content.length}
  const sha256 = sha256Of(content)
  if (expected !== undefined && expected.sha256 !== sha256) return {findings: [{code: 'verify.sha256', severity: 'error', subject: TOC, message: `is damaged: its SHA-256 is ${short(sha256)}, the manifest says ${short(expected.sha256)}`}], bytes: content.length}
  const archive = parsed(content)
  if (archive instanceof DrError) return {findings: [{code: 'verify.toc', severity: 'error', subject: TOC, message: `cannot be read: ${archive.message}`}], bytes: content.length}
  return {findings: [...compareToc(archive, manifest), ...(await listFindings(content, archive, manifest, options, signal))], bytes: content.length}
}

function parsed(content: Buffer): Archive | DrError {
  try {
    return parseArchive(content)
  } catch (error) {
    if (error instanceof DrError) return error
    throw error
  }
}

/** pg_restore needs only this one file to list an archive. */
async function listFindings(content: Buffer, archive: Archive, manifest: Manifest, options: VerifyOptions, signal: AbortSignal): Promise<Finding[]> {
  const untried = (message: string): Finding[] => [{code: 'verify.pg-restore', severity: 'warning', subject: TOC, message: `was not read by pg_restore: ${message}`}]
  if (options.tools === undefined) return untried(options.toolsMissing ?? 'it is not installed')
  const {pgRestoreMajor} = manifest.tool
  const tools = options.tools.some(({major}) => major >= pgRestoreMajor) ? chooseForRestore(options.tools, pgRestoreMajor, manifest.server.major) : undefined
  if (tools === undefined) return untried(`that needs version ${pgRestoreMajor}, the newest here is ${options.tools[0]?.version ?? 'none'}`)
  const directory = join(options.run.directory, 'toc')
  await mkdir(directory, {recursive: true, mode: 0o700})
  try {
    await writeFile(join(directory, TOC), content, {mode: 0o600})
    const {code, stdout, stderr} = await runTool([tools.pgRestore, '--list', directory], {signal})
    if (code !== 0) return [{code: 'verify.pg-restore', severity: 'error', subject: TOC, message: `pg_restore ${tools.version} cannot read it: ${stderr.join(' ')}`}]
    return listedFindings(stdout, archive, tools.version)
  } finally {
    await rm(directory, {recursive: true, force: true})
  }
}

function listedFindings(list: string, archive: Archive, version: string): Finding[] {
  const listed = new Set([...list.matchAll(/^(\d+); /gm)].map(([, dumpId]) => Number(dumpId)))
  const unlisted = archive.entries.filter(({file, dumpId}) => file !== undefined && !listed.has(dumpId))
  if (unlisted.length === 0) return [{code: 'verify.pg-restore', severity: 'ok', subject: TOC, message: `pg_restore ${version} lists ${listed.size} entries`}]
  return unlisted.map(({dumpId, schema, tag}) => ({code: 'verify.pg-restore', severity: 'error', subject: TOC, message: `pg_restore ${version} does not list the data of ${schema ?? ''}.${tag} (entry ${dumpId})`}))
}
