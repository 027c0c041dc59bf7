import {basename} from 'node:path'
import type {Finding} from '../../checks/finding.ts'
import {DrError} from '../../errors.ts'
import {isLabel} from '../../repository/label.ts'
import {MANIFEST, parseManifest, type Manifest} from '../../repository/manifest.ts'
import type {StoredObject} from '../../repository/storage/storage.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {compareBytes} from './bytes.ts'
import {compareListing, compareStoredChecksums, contentOf, listPlace, type Place} from './listing.ts'
import type {Meter} from './meter.ts'
import type {Verified, VerifyOptions} from './options.ts'
import {checkToc} from './read-toc.ts'

/** A copy of a backup; `environment` only where its place says which. */
export interface BackupPlace extends Place {
  label: string
  environment?: string
}

/** Verifies one copy of a backup and notes into `result` what was found. Only an unreachable storage throws. */
export async function verifyBackup(place: BackupPlace, result: Verified, options: VerifyOptions, meter: Meter, signal: AbortSignal): Promise<void> {
  const watch = stopwatch(result.timings)
  const note = ({findings, bytes = 0}: {findings: readonly Finding[]; bytes?: number}) => {
    result.findings.push(...findings)
    result.bytes += bytes
  }
  const found = await watch.time('list', () => listPlace(place, signal))
  const {manifest, ...read} = await watch.time('manifest', () => readManifest(place, found, signal))
  note(read)
  if (manifest === undefined) {
    note({findings: [{code: 'verify.manifest', severity: 'info', subject: '', message: 'Without its manifest nothing else of this backup could be compared'}]})
    return
  }
  result.members = manifest.members.length
  note({findings: compareListing(manifest, found)})
  if (found.has('toc.dat')) note(await watch.time('toc', () => checkToc(place, manifest, options, signal)))
  if (options.level === 'full') note(await watch.time('bytes', () => compareBytes(place, manifest, found, meter, signal)))
  else if (place.storage.kind === 's3') note({findings: await watch.time('checksums', () => compareStoredChecksums(place, manifest, found, signal))})
}

async function readManifest(place: BackupPlace, found: ReadonlyMap<string, StoredObject>, signal: AbortSignal): Promise<{manifest?: Manifest; findings: Finding[]; bytes: number}> {
  const wrong = (message: string): Finding => ({code: 'verify.manifest', severity: 'error', subject: MANIFEST, message})
  if (!found.has(MANIFEST)) return {findings: [wrong('is missing: the backup was never finished, or it was removed')], bytes: 0}
  const content = await contentOf(place, MANIFEST, signal)
  const text = content.toString('utf8')
  try {
    const manifest = parseManifest(text)
    return {manifest, findings: nameFindings(manifest, place).map(wrong), bytes: content.length}
  } catch (error) {
    if (!(error instanceof DrError)) throw error
    return {findings: [wrong(error.message.replace(/^manifest\.json /, ''))], bytes: content.length}
  }
}

/** A folder that was copied elsewhere may have any name, but not the label of another backup. */
function nameFindings(manifest: Manifest, {folder, label, environment}: BackupPlace): string[] {
  const name = basename(folder)
  return [
    ...(isLabel(name) && manifest.label !== name ? [`is that of ${manifest.label}, not of ${label}`] : []),
    ...(environment !== undefined && manifest.environment !== environment ? [`is of a backup of ${manifest.environment}, but lies under ${environment}`] : []),
  ]
}
