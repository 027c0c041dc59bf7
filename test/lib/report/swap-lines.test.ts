import {expect} from 'chai'
import {liveLines, lossLines, targetLines, type Loss} from '../../../src/lib/report/swap-lines.ts'

const headers = ['LIVE NOW', 'COMING IN'] as const
const loss = (table: string, live: number | null, coming: number | null, more: Partial<Loss> = {}): Loss => ({table, live, coming, estimated: false, ...more})

describe('what a swap would change, in lines', () => {
  it('has the largest change first, and figures below each other', () => {
    expect(lossLines([loss('public.same', 5, 5), loss('public.calls', 1_234_567, 1_234_000), loss('public.leads', 10, 11), loss('public.gone', 3, null), loss('public.back', null, 4), loss('public.large', 900, 100, {estimated: true})], headers)).to.deep.equal([
      'TABLE          LIVE NOW  COMING IN    CHANGE',
      'public.large       ~900        100      −800',
      'public.calls  1,234,567  1,234,000      −567',
      'public.back           -          4  not live',
      'public.gone           3          -      goes',
      'public.leads         10         11        +1',
      '1 table has as many rows as they would have afterwards; changed rows do not show in that.',
    ])
  })

  it('fits a screen, whatever there is', () => {
    const many = Array.from({length: 500}, (_, index) => loss(`public.${'very_long_name_'.repeat(4)}${index}`, index + 1, 0))
    const lines = lossLines(many, headers)
    expect(lines.length).to.be.at.most(15)
    expect(Math.max(...lines.map((line) => line.length))).to.be.at.most(80)
    expect(lines.at(-1)).to.match(/^and 488 more tables that differ, −[\d,]+ rows in all$/)
    expect(liveLines(many).length).to.be.at.most(15)
  })

  it('says what was written since, and when nothing was', () => {
    expect(lossLines([loss('a', 5, 5, {written: 3}), loss('b', 5, 5, {written: 0})], headers)).to.deep.equal([
      'TABLE  LIVE NOW  COMING IN  CHANGE  WRITTEN SINCE', 'a             5          5       0              3', '1 table has as many rows as they would have afterwards, and nothing was written there.',
    ])
    expect(lossLines([loss('a', 5, 5, {written: 0})], headers)).to.deep.equal(['Nothing was written since, in any of 1 table.'])
  })

  it('shows who the target is, as far as it is known', () => {
    const target = {host: 'db', port: 5432, serverVersion: '17.5 (Debian)', database: 'crm', owner: 'o', sessions: [{application: 'api', count: 3}, {application: '', count: 1}]}
    expect(targetLines(target, 'production')).to.deep.equal([
      'Server      db:5432, PostgreSQL 17.5', 'Database    crm: production', 'Newest row  not known', 'Connected   4 sessions (api 3, unnamed 1): ended at the swap',
    ])
    expect(targetLines({...target, sessions: []}, 'staging').at(-1)).to.equal('Connected   nobody')
  })
})
