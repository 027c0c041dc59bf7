import type {Finding} from '../../checks/finding.ts'
import {dataEntries, sequenceValues, type Archive, type ArchiveEntry} from '../../postgres/archive.ts'
import type {Manifest} from '../../repository/manifest.ts'
import {kindOfMember} from './member.ts'

const TOC = 'toc.dat'
/** What a backup holds beside the archive of pg_dump. */
const OWN = new Set([TOC, 'globals.sql', 'RECOVER.md', 'recover.sh'])

const keyOf = (schema: string, name: string) => JSON.stringify([schema, name])
const wrong = (code: string, subject: string, message: string): Finding => ({code, severity: 'error', subject, message})

/** The table of contents against the manifest: both must name the same members, tables and sequence values. */
export function compareToc(archive: Archive, manifest: Manifest): Finding[] {
  const findings = [...memberFindings(archive, manifest), ...tableFindings(archive, manifest), ...dataFindings(archive, manifest), ...sequenceFindings(archive, manifest)]
  if (findings.length > 0) return findings
  return [{code: 'verify.toc', severity: 'ok', subject: TOC, message: `${archive.entries.length} entries; members, ${manifest.tables.length} tables and ${manifest.sequences.length} sequences agree with the manifest`}]
}

const suffix = (compression: string) => (compression.startsWith('gzip') ? '.gz' : compression.startsWith('zstd') ? '.zst' : compression.startsWith('lz4') ? '.lz4' : '')

function memberFindings(archive: Archive, manifest: Manifest): Finding[] {
  const ending = suffix(manifest.compression)
  const named = new Set(dataEntries(archive).map(({file = ''}) => (file.endsWith('.toc') ? file : `${file}${ending}`)))
  const members = new Set(manifest.members.map(({name}) => name))
  return [
    ...[...named].filter((name) => !members.has(name)).map((name) => wrong('verify.toc-member', name, 'is named by toc.dat, but the manifest does not know it')),
    ...[...members].filter((name) => !named.has(name) && !OWN.has(name) && kindOfMember(name) !== 'large-object').map((name) => wrong('verify.toc-member', name, 'is in the manifest, but toc.dat does not name it')),
    ...(members.has(TOC) ? [] : [wrong('verify.manifest', TOC, 'is not in the manifest')]),
  ]
}

/** Both ways: a table that only one of them knows is a table that is missing from the other. */
function tableFindings({entries}: Archive, {tables, materializedViews}: Manifest): Finding[] {
  const keys = (kind: string) => new Set(entries.filter((entry) => entry.kind === kind).map(({schema = '', tag}) => keyOf(schema, tag)))
  const defined = keys('TABLE')
  const filled = keys('TABLE DATA')
  const views = keys('MATERIALIZED VIEW')
  const known = new Set(tables.map(({schema, name}) => keyOf(schema, name)))
  return [
    ...tables.filter(({schema, name}) => !defined.has(keyOf(schema, name)) && !filled.has(keyOf(schema, name))).map(({schema, name}) => wrong('verify.table', `${schema}.${name}`, 'is in the manifest, but not in toc.dat')),
    ...entries.filter(({kind, schema = '', tag}) => kind === 'TABLE' && !known.has(keyOf(schema, tag))).map(({schema = '', tag}) => wrong('verify.table', `${schema}.${tag}`, 'is in toc.dat, but not in the manifest')),
    ...materializedViews.filter(({schema, name}) => !views.has(keyOf(schema, name))).map(({schema, name}) => wrong('verify.table', `${schema}.${name}`, 'is a materialized view of the manifest, but not in toc.dat')),
  ]
}

function dataFindings({entries}: Archive, {tables}: Manifest): Finding[] {
  const data = new Map(entries.filter(({kind}) => kind === 'TABLE DATA').map((entry) => [entry.dumpId, entry]))
  const known = new Set(tables.flatMap(({dumpId}) => dumpId ?? []))
  const isOf = (entry: ArchiveEntry | undefined, table: {schema: string; name: string}) => entry?.schema === table.schema && entry.tag === table.name
  return [
    ...tables.flatMap((table) => {
      const {schema, name, dumpId, rows} = table
      if (dumpId === undefined) return (rows ?? 0) > 0 ? [wrong('verify.table-data', `${schema}.${name}`, `has ${rows ?? 0} rows, but no data in the archive`)] : []
      return isOf(data.get(dumpId), table) ? [] : [wrong('verify.table-data', `${schema}.${name}`, `its data should be entry ${dumpId} of toc.dat, which is something else`)]
    }),
    ...[...data.values()].filter(({dumpId}) => !known.has(dumpId)).map(({dumpId, schema = '', tag}) => wrong('verify.table-data', `${schema}.${tag}`, `its data is entry ${dumpId} of toc.dat, which the manifest does not know`)),
  ]
}

function sequenceFindings(archive: Archive, manifest: Manifest): Finding[] {
  const text = ({lastValue, isCalled}: {lastValue: string; isCalled: boolean}) => `${lastValue} (${isCalled ? 'used' : 'not used yet'})`
  const here = new Map(sequenceValues(archive).map((sequence) => [keyOf(sequence.schema, sequence.name), text(sequence)]))
  const there = new Map(manifest.sequences.map((sequence) => [keyOf(sequence.schema, sequence.name), text(sequence)]))
  return [...new Set([...here.keys(), ...there.keys()])].filter((key) => here.get(key) !== there.get(key)).map((key) => {
    const [schema = '', name = ''] = JSON.parse(key) as string[]
    return wrong('verify.sequence', `${schema}.${name}`, `toc.dat sets it to ${here.get(key) ?? 'nothing'}, the manifest says ${there.get(key) ?? 'nothing'}`)
  })
}
