import type {Damage, Investigation} from './investigation.ts'
import {auditWords, columnWords, damageTitle, nothingFound, riskWords, tableWords, timelineOf, timeWords, whenWords} from './investigation-words.ts'

/** The investigation for the incident file. */
export function investigationMarkdown(found: Investigation, {run}: {run: string}): string {
  const {target, environment, at, scope, notes} = found
  const asked = [...scope.tables.map((table) => `table ${table}`), ...(scope.tenant === undefined ? [] : [`tenant ${scope.tenant}`]), ...(scope.since === undefined ? [] : [`since ${timeWords(scope.since)}`]), ...(scope.actor === undefined ? [] : [`actor ${scope.actor}`])]
  const lines = [
    `# What happened to ${found.database}`, '',
    `${target} (${environment}), looked at ${timeWords(at)}${asked.length === 0 ? '' : `: ${asked.join(', ')}`}. Run \`${run}\`.`, '',
    ...(found.damages.length === 0 ? [text(nothingFound(found)), ''] : found.damages.flatMap((damage, index) => damageLines(damage, index + 1))),
    '## Timeline', '', '| time (UTC) | what |', '|---|---|', ...timelineOf(found).map((entry) => `| ${entry.at.slice(0, 19).replace('T', ' ')} | ${text(entry.text)} |`), '',
    ...rowLines(found), ...writerLines(found), ...auditLines(found),
    ...(notes.length === 0 ? [] : ['## To know', '', ...notes.map((note) => `- ${text(note)}`), '']),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

/** A name in a database may hold anything. */
const text = (value: string): string => value.replaceAll(/[\u0000-\u001F\u007F-\u009F]/g, ' ').replaceAll(/[\\|`*_<>[\]]/g, String.raw`\$&`)

function damageLines(damage: Damage, index: number): string[] {
  const columns = columnWords(damage)
  const {when, source, evidence, point, commands} = damage
  return [
    `## ${index}. ${text(damageTitle(damage))}`, '',
    `- When: ${whenWords(when)}`,
    ...evidence.map((line) => `- ${text(line)}`),
    ...(columns === undefined ? [] : [`- Columns ${text(columns)}`]),
    source === undefined ? '- There is no good backup from before.' : `- Newest good backup from before: \`${source.label}\` of ${timeWords(source.at)}`,
    ...riskWords(damage).map((line) => `- ${text(line)}`),
    `- Corruption point, for a recovery to a point in time: ${timeWords(point)}`, '',
    '```', ...commands.flatMap(({purpose, command}) => [`# ${purpose}`, command]), '```', '',
  ]
}

function rowLines({tables, backups}: Investigation): string[] {
  const shown = backups.slice(0, 5)
  const changed = tables.filter(({rows, history, trouble}) => trouble !== undefined || history.some((then) => then !== rows))
  if (changed.length === 0) return []
  return [
    '## Rows over time', '', `| table | ${['live', ...shown.map(({label}) => label)].join(' | ')} |`, `|---|${'---:|'.repeat(shown.length + 1)}`,
    ...changed.map((table) => `| ${text(tableWords(table))} | ${[table.trouble === undefined ? cell(table.rows) : text(table.trouble), ...shown.map((_, index) => cell(table.history[index] ?? null))].join(' | ')} |`), '',
  ]
}

const cell = (value: number | null): string => (value === null ? '-' : value.toLocaleString('en-US'))

function writerLines({tables}: Investigation): string[] {
  const writers = tables.flatMap((table) => (table.writers ?? []).slice(0, 5).map((writer) => ({table, writer}))).toSorted((a, b) => b.writer.rows - a.writer.rows).slice(0, 20)
  if (writers.length === 0) return []
  return [
    '## Transactions that wrote most rows', '', '| table | transaction | rows | committed | rows last changed |', '|---|---:|---:|---|---|',
    ...writers.map(({table, writer}) => `| ${text(tableWords(table))} | ${writer.transaction}${writer.repair === undefined ? '' : ` (dr partial ${writer.repair})`}${writer.takenBack === undefined ? '' : ` (dr undo of ${writer.takenBack})`}${writer.frozen ? ' (frozen)' : ''} | ${cell(writer.rows)} | ${writer.committedAt === undefined ? '-' : timeWords(writer.committedAt)} | ${writer.updatedFrom === undefined || writer.updatedTo === undefined ? '-' : `${timeWords(writer.updatedFrom)} to ${timeWords(writer.updatedTo)}`} |`), '',
  ]
}

function auditLines({audit}: Investigation): string[] {
  const head = ['## Audit log', '', `${text(audit.table)} since ${timeWords(audit.since)}: `]
  if (audit.unknown !== undefined) return [...head.slice(0, 2), `${head[2] ?? ''}not known, ${text(audit.unknown)}.`, '']
  return [...head.slice(0, 2), `${head[2] ?? ''}${audit.hours.length === 0 ? 'no deletions and no changes.' : 'deletions and changes.'}`, '', ...audit.hours.map((hour) => `- ${text(auditWords(hour))}`), '']
}
