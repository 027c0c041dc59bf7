import {expect} from 'chai'
import type {LossTable, TableLoss} from '../../../src/lib/checks/loss.ts'
import type {RowLoss, TableRowLoss} from '../../../src/lib/checks/row-loss.ts'
import {rowLossTotal} from '../../../src/lib/checks/row-loss.ts'
import {lossLines} from '../../../src/lib/ui/loss-table.ts'
import {rowLossLines} from '../../../src/lib/ui/row-loss.ts'
import {textWidth} from '../../../src/lib/ui/text.ts'

const table = (name: string, live: number, backup: number, lost: number, more: Partial<TableLoss> = {}): TableLoss => ({schema: 'public', name, where: 'both', live, backup, lost, regained: lost - live + backup, atLeast: false, newest: '2026-11-22T04:10:11.000Z', ...more})
const many = Array.from({length: 40}, (_, index) => table(`a_table_with_a_rather_long_name_${index}`, 1_234_567, 1_234_000, Math.max(0, 30 - index) * 1000 + 567))
const lossOf = (tables: TableLoss[], more: Partial<LossTable> = {}): LossTable => {
  const sum = (of: 'live' | 'backup' | 'lost' | 'regained') => tables.reduce((total, one) => total + one[of], 0)
  return {label: '20261122T020000Z-7f3a', takenAt: '2026-11-22T02:00:00.000Z', liveAt: '2026-11-22T05:00:00.000Z', database: 'crm', tables, tenants: [], total: {live: sum('live'), backup: sum('backup'), lost: sum('lost'), regained: sum('regained'), atLeast: tables.some(({atLeast}) => atLeast)}, troubles: [], leftOut: [], ...more}
}

describe('the loss on a screen', () => {
  const tenants = Array.from({length: 30}, (_, index) => ({tenant: `00000000-0000-4000-8000-0000000000${String(index).padStart(2, '0')}`, live: 1000, backup: 990, lost: 30 - index, regained: 20 - index, atLeast: false}))

  for (const width of [60, 80, 120]) {
    it(`fits ${width} columns and 24 lines, whatever there is`, () => {
      const lines = [...lossLines(lossOf(many, {tenants}), {width})]
      for (const line of lines) expect(textWidth(line), line).to.be.at.most(width)
      expect(lines.length).to.be.at.most(24)
      expect(lines.join('\n')).to.match(/LOST/).and.match(/BACK/).and.match(/and 31 more tables \(/).and.match(/and 26 more tenants/)
    })
  }

  it('shows what differs, and the rest in one line', () => {
    const lines = [...lossLines(lossOf([table('leads', 110, 100, 30), table('gone', 0, 5, 0, {where: 'backup'}), table('same', 50, 50, 0), table('same_too', 7, 7, 0)]), {width: undefined})]
    expect(lines).to.deep.equal([
      'A restore of 20261122T020000Z-7f3a would lose 30 rows written since 02:00 UTC, and bring back 25 rows that were deleted or changed since.',
      '1 table dropped since the backup would come back: public.gone (5 rows).',
      '',
      'TABLE                             LIVE  BACKUP  DIFFERENCE  LOST  BACK  NEWEST LIVE ROW',
      'public.leads                       110     100         +10    30    20  2026-11-22 04:10',
      'public.gone (only in the backup)     0       5          -5     -     5  2026-11-22 04:10',
      'and 2 more tables (57 live rows): no difference',
    ])
    expect([...lossLines(lossOf([table('same', 50, 50, 0)]), {width: undefined, all: true})].join('\n')).to.include('public.same')
  })

  it('marks figures that are the least, names what could not be looked at, and lets no control character through', () => {
    const text = [...lossLines(lossOf([table('a\u001B[2J', 9, 4, 5, {atLeast: true})], {troubles: [{schema: 'public', name: 'locked', message: 'it is locked'}], leftOut: [{schema: 'public', name: 'plain'}], tenant: 'a'}), {width: undefined})].join('\n')
    expect(text).to.include('≥ 5').and.include('public.locked was not compared: it is locked').and.include('name no tenant: public.plain').and.include('of tenant a')
    expect(text).not.to.include('\u001B[2J')
  })
})

describe('the loss row by row on a screen', () => {
  const row = (name: string, more: Partial<TableRowLoss> = {}): TableRowLoss => ({schema: 'public', name, where: 'both', live: 10, backup: 9, onlyLive: 3, onlyBackup: 2, changed: 1, key: ['id'], sample: [], notes: [], ...more})
  const rowsOf = (tables: TableRowLoss[], more: Partial<RowLoss> = {}): RowLoss => ({against: 'side', restored: true, liveAt: '2026-11-22T05:00:00.000Z', tables, total: rowLossTotal(tables), troubles: [], cautions: [], leftOut: [], ...more})
  const lines = (rows: RowLoss, width?: number) => [...rowLossLines(lossOf([table('leads', 10, 9, 3)]), rows, {width})]

  it('says what is lost, undone and brought back', () => {
    expect(lines(rowsOf([row('leads', {sample: [{change: 'changed', key: ['7', null]}], key: ['id', 'part'], notes: ['not compared: x']}), row('same', {onlyLive: 0, onlyBackup: 0, changed: 0})]))).to.deep.equal([
      'A restore of 20261122T020000Z-7f3a would lose 3 rows added since 02:00 UTC, take 1 changed row back to what it was, and bring back 2 deleted rows.',
      '',
      'TABLE         LIVE  BACKUP  LOST  CHANGED  BACK  NEWEST LIVE ROW',
      'public.leads    10       9     3        1     2  2026-11-22 04:10',
      'and 1 more table (10 live rows): every row is the same',
      '',
      'public.leads by id, part:',
      '  changed  7, NULL',
      'public.leads: not compared: x',
    ])
  })

  it('says that nothing differs, that tables have no key, and what could not be compared', () => {
    expect(lines(rowsOf([row('a', {onlyLive: 0, onlyBackup: 0, changed: 0})]))[0]).to.include('would change nothing: every row is as it was at 02:00 UTC')
    const text = lines(rowsOf([row('nokey', {key: []})], {troubles: [{schema: 'public', name: 'b', message: 'no'}], leftOut: [{schema: 'public', name: 'c'}]})).join('\n')
    expect(text).to.include('1 table could not be compared').and.include('Without a key a changed row counts as one added and one deleted: public.nokey').and.include('public.b was not compared: no').and.include('public.c')
  })

  for (const width of [60, 120]) {
    it(`fits ${width} columns and 24 lines`, () => {
      const text = lines(rowsOf(Array.from({length: 50}, (_, index) => row(`a_table_with_a_rather_long_name_${index}`, {live: 12_345_678}))), width)
      for (const line of text) expect(textWidth(line), line).to.be.at.most(width)
      expect(text.length).to.be.at.most(24)
    })
  }
})
