import {rowOf, type Client} from '../connection.ts'
import type {ClosureFinding, ForeignKeyShape} from './contract.ts'
import {conditionOf, liveRows, onKey, stagedRows} from './fill.ts'
import {isLeft, parentJoins} from './links.ts'
import {after, type Entry, type Planned, unplanned} from './plan.ts'
import {sameTable} from './names.ts'
import {column, equal, equals, inLiveType, keysTo, same} from './relations.ts'
import type {Tally} from './tally.ts'

/** What hangs on the selection in staged tables: live rows that were detached from it, and rows that went with it. */
export async function lostChildren(client: Client, planned: Planned, counts: Tally): Promise<ClosureFinding[]> {
  const found: ClosureFinding[] = []
  for (const parent of planned.entries.filter(({selected: {role}}) => role === 'rows')) {
    for (const key of keysTo(planned.live, parent.plan.relation.table)) {
      const child = [...planned.entries, ...planned.observed].find(({selected: {table}}) => sameTable(table, key.table))
      if (child?.plan.key === undefined || !key.columns.every((name) => child.shared.some(({live}) => live.name === name))) continue
      const finding = {foreignKey: key.name, table: key.table, references: key.references, columns: key.columns}
      const [detached, unlinked] = key.onDelete === 'set null' || key.onDelete === 'set default' ? await countDetached(client, planned, key, child, parent) : [0, 0]
      const gone = counts.of(parent.plan, ['insert']) > 0 ? await countGone(client, key, child, parent) : 0
      if (detached > 0) found.push({...finding, kind: 'detached', rows: detached})
      if (unlinked > 0) found.push({...finding, kind: 'unlinked', rows: unlinked})
      if (gone > 0) found.push({...finding, kind: 'gone-child', rows: gone})
    }
  }
  return found
}

const stagedValue = ({shared}: Entry, name: string): string => {
  const pair = shared.find(({live}) => live.name === name)
  return pair ? inLiveType(pair.live, pair.staged, column('s', name)) : 'NULL'
}

/** Of rows that the plan does not put right by itself: those whose parent was lost, and those whose parent was there all the time. */
async function countDetached(client: Client, planned: Planned, key: ForeignKeyShape, child: Entry, parent: Entry): Promise<[number, number]> {
  const {joins, there, wasLost} = parentJoins(planned, key, (name) => stagedValue(child, name))
  const selected = stagedRows(parent, conditionOf(planned, parent, 'stage')).replace(/ AS s$/, ' AS sp')
  const links = child.shared.filter(({live}) => (key.setColumns ?? key.columns).includes(live.name)).map(({live}) => live)
  const {lost, all} = await rowOf<{lost: string; all: string}>(client, `
    SELECT count(*) FILTER (WHERE ${wasLost}) AS lost, count(*) AS all FROM ${stagedRows(child, 'true')} JOIN ${liveRows(child)} ON ${onKey(child)}
    JOIN ${selected} ON ${key.columns.map((name, index) => `${column('sp', key.referencedColumns[index] ?? '')} ${equals(key, index)} ${column('s', name)}`).join(' AND ')} ${joins}
    WHERE (${links.map((one) => `(${isLeft(key, one, column('l', one.name))} AND NOT ${same(one, column('l', one.name), stagedValue(child, one.name))})`).join(' OR ')}) AND ${there} AND ${unplanned(planned, child.plan.relation.table, 'l', {tid: '"dr:tid"', rel: '"dr:rel"'})}`)
  return [Number(lost), Number(all) - Number(lost)]
}

async function countGone(client: Client, key: ForeignKeyShape, child: Entry, {plan}: Entry): Promise<number> {
  const rowKey = child.plan.key ?? []
  const own = rowKey.map((name) => {
    const live = child.plan.relation.columns.find((one) => one.name === name)
    return live ? equal(live, after(child.plan, name, 'x'), stagedValue(child, name)) : 'false'
  })
  return countOf(client, `
    ${stagedRows(child, 'true')} JOIN ${plan.sql} AS q ON q.act = 'insert' AND ${key.columns.map((name, index) => `${after(plan, key.referencedColumns[index] ?? '', 'q')} ${equals(key, index)} ${stagedValue(child, name)}`).join(' AND ')}
    LEFT JOIN ${liveRows(child)} ON ${onKey(child)}
    WHERE l."dr:tid" IS NULL AND NOT EXISTS (SELECT FROM ${child.plan.sql} x WHERE x.act = 'insert' AND ${own.join(' AND ')})`)
}

const countOf = async (client: Client, from: string): Promise<number> => Number((await rowOf<{count: string}>(client, `SELECT count(*) FROM ${from}`)).count)
