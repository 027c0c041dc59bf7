import {buffer} from 'node:stream/consumers'
import type {Finding} from '../../checks/finding.ts'
import {isEvidence} from '../../repository/evidence.ts'
import {LEASE} from '../../repository/lease.ts'
import {MANIFEST, type Manifest} from '../../repository/manifest.ts'
import {mapInOrder} from '../../repository/map-in-order.ts'
import type {Storage, StoredObject} from '../../repository/storage/storage.ts'

const STATS_AT_ONCE = 8

/** As much of a SHA-256 as tells two apart on a screen. */
export const short = (sha256: string): string => `${sha256.slice(0, 12)}…`

/** `folder` ends with a slash. */
export interface Place {
  storage: Storage
  folder: string
}

/** What lies in the folder, by name below it. */
export async function listPlace({storage, folder}: Place, signal: AbortSignal): Promise<Map<string, StoredObject>> {
  const found = new Map<string, StoredObject>()
  for await (const object of storage.list(folder, {signal})) found.set(object.key.slice(folder.length), object)
  return found
}

/** Every member is there with its size, and nothing else is. */
export function compareListing(manifest: Manifest, found: ReadonlyMap<string, StoredObject>): Finding[] {
  const names = new Set(manifest.members.map(({name}) => name))
  const findings = manifest.members.flatMap(({name, bytes}) => memberFindings(name, bytes, found.get(name)))
  for (const name of found.keys()) {
    if (names.has(name) || name === MANIFEST || name === LEASE || isEvidence(name)) continue
    findings.push({code: 'verify.extra', severity: 'error', subject: name, message: 'is not a member of this backup', hint: 'Somebody put it there, or the manifest is of another backup.'})
  }
  if (names.size < manifest.members.length) findings.push({code: 'verify.manifest', severity: 'error', subject: MANIFEST, message: 'names a member twice'})
  return findings.length > 0 ? findings : [{code: 'verify.members', severity: 'ok', subject: '', message: `${names.size} members are there with their sizes, and nothing else is`}]
}

function memberFindings(name: string, bytes: number, found: StoredObject | undefined): Finding[] {
  if (found === undefined) return [{code: 'verify.missing', severity: 'error', subject: name, message: 'is missing'}]
  if (found.bytes === bytes) return []
  const how = found.bytes < bytes ? 'is cut off' : 'is too long'
  return [{code: 'verify.size', severity: 'error', subject: name, message: `${how}: ${found.bytes} bytes instead of ${bytes}`}]
}

/** What the store itself keeps as SHA-256 of an object, where it keeps one: nothing is read. */
export async function compareStoredChecksums({storage, folder}: Place, manifest: Manifest, found: ReadonlyMap<string, StoredObject>, signal: AbortSignal): Promise<Finding[]> {
  const present = manifest.members.filter(({name}) => found.has(name))
  const findings: Finding[] = []
  let known = 0
  for await (const {name, sha256, stored} of mapInOrder(present, STATS_AT_ONCE, async (member) => ({...member, stored: await storage.stat(`${folder}${member.name}`, {signal})}))) {
    if (stored?.sha256 === undefined) continue
    known += 1
    if (stored.sha256 !== sha256) findings.push({code: 'verify.stored-sha256', severity: 'error', subject: name, message: `holds other bytes: the store keeps SHA-256 ${short(stored.sha256)}, the manifest says ${short(sha256)}`})
  }
  const message = known === 0 ? 'The store keeps no SHA-256 of its own: the bytes were not looked at' : `The store keeps SHA-256 of ${known} of ${present.length} members, as it was when they were written`
  return [...findings, {code: 'verify.stored-sha256', severity: 'info', subject: '', message, hint: 'dr verify --level full reads every byte.'}]
}

/** A small object whole. */
export async function contentOf({storage, folder}: Place, name: string, signal: AbortSignal): Promise<Buffer> {
  return buffer(await storage.read(`${folder}${name}`, {signal}))
}
