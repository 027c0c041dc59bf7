import {expect} from 'chai'
import {fullTransaction, hasWrapped, isSeenBy} from '../../../../src/lib/postgres/investigate/transactions.ts'
import {anyFall, cliffOf, isNotable} from '../../../../src/lib/procedures/investigate/history.ts'
import {secondBefore, timesAround, whenOf} from '../../../../src/lib/procedures/investigate/instants.ts'
import {instantOf} from '../../../../src/lib/procedures/investigate/since.ts'
import {suspectsOf} from '../../../../src/lib/procedures/investigate/suspects.ts'
import {localRepository} from '../../../support/backup.ts'
import type {InvestigatedTable, WritingTransaction} from '../../../../src/lib/report/investigation.ts'

const ROUND = 2n ** 32n

describe('transactions by their 32 bits', () => {
  it('are the newest that was given out already', () => {
    const next = String(ROUND * 3n + 1000n)
    expect([fullTransaction('999', next), fullTransaction('1000', next), fullTransaction('4294967295', next)]).to.deep.equal([ROUND * 3n + 999n, ROUND * 2n + 1000n, ROUND * 3n - 1n])
    expect([hasWrapped(next), hasWrapped('4294967295')]).to.deep.equal([true, false])
  })

  it('are seen by a snapshot unless they were running or came later', () => {
    expect(['99', '100', '101', '102', '103'].map((one) => isSeenBy('100:103:100,102', BigInt(one)))).to.deep.equal([true, false, true, false, false])
    expect([isSeenBy('100:100:', 99n), isSeenBy('damaged', 1n)]).to.deep.equal([true, undefined])
  })
})

describe('the cliff', () => {
  const cases: [string, (number | null)[], number, unknown][] = [
    ['is the steepest fall, not the last', [900, 1000, 4000, 3900], 880, {backup: 2, before: 4000, after: 1000, rows: 3000}],
    ['lies before now', [4000, 3900], 0, {backup: 0, before: 4000, after: 0, rows: 4000}],
    ['is where the table went missing', [null, 50], 0, {backup: 1, before: 50, after: 0, rows: 50}],
    ['is none where rows only came', [4000, 3900], 4100, undefined],
    ['is none when as many are live again', [10, 4000], 4000, undefined],
    ['is none in the daily work', [4000, 3900], 3700, undefined],
  ]
  for (const [title, history, live, cliff] of cases) it(title, () => { expect(cliffOf(history, live, isNotable)).to.deep.equal(cliff) })

  it('may be any fall where the operator names the table', () => {
    expect(cliffOf([4000], 3999, anyFall)).to.include({rows: 1})
  })
})

describe('the point of a recovery', () => {
  it('is the last whole second before', () => {
    expect(['2026-11-27T02:14:07.000001Z', '2026-11-27T02:14:07.999Z', '2026-11-27T02:14:07.000Z', '2026-11-27T02:14:07Z', '2026-11-27T00:00:00.000000Z'].map(secondBefore))
      .to.deep.equal(['2026-11-27T02:14:07Z', '2026-11-27T02:14:07Z', '2026-11-27T02:14:06Z', '2026-11-27T02:14:06Z', '2026-11-26T23:59:59Z'])
  })
})

describe('the time of a transaction', () => {
  const [t1, t2, t3, t4] = ['2026-11-27T01:00:00.000Z', '2026-11-27T02:00:00.000000Z', '2026-11-27T03:00:00.000Z', '2026-11-27T04:00:00.000Z'] as const
  it('is that of its commit', () => { expect(whenOf({rows: 5, committedAt: t2, updatedFrom: t1, updatedTo: t1}, {notAfter: t4})).to.deep.equal({from: t2, to: t2, witness: 'commit'}) })
  it('is what it stamped its rows with', () => { expect(whenOf({rows: 5, updatedFrom: t2, updatedTo: t2}, {notBefore: t1, notAfter: t4})?.witness).to.equal('stamp') })
  it('is not a stamp from before a backup that does not hold it', () => { expect(whenOf({rows: 5, updatedFrom: t1, updatedTo: t1}, {notBefore: t2, notAfter: t4, before: t1})).to.deep.equal({from: t2, to: t4, witness: 'backups'}) })
  it('lies behind the times of other rows, and between backups; a later transaction may carry an old time', () => {
    expect(whenOf({rows: 5, updatedFrom: t1, updatedTo: t2}, {notBefore: t1, notAfter: t4, before: t2})).to.deep.equal({from: t2, to: t4, witness: 'rows'})
    expect(whenOf({rows: 5}, {notBefore: t1, notAfter: t4})).to.deep.equal({from: t1, to: t4, witness: 'backups'})
    expect(whenOf({rows: 5}, {notAfter: t4})).to.equal(undefined)
  })
  it('spans both witnesses where they contradict each other', () => { expect(whenOf({rows: 5}, {notAfter: t2, before: t3})).to.include({from: t2, to: t3}) })
  it('lies behind what earlier transactions wrote, wherever the times of later ones lie', () => {
    const writers = [{transaction: 1n, newest: t1}, {transaction: 3n, newest: t2}, {transaction: 7n, newest: t1}, {transaction: 8n, newest: t4}, {transaction: 9n, newest: undefined}]
    expect(timesAround(5n, writers, {})).to.deep.equal({before: t2})
    expect(timesAround(5n, writers, {before: t3})).to.deep.equal({before: t3})
  })
})

describe('a suspect', () => {
  const backup = {label: 'b', at: '2026-11-27T00:00:00.000Z', good: true, comparable: true, snapshot: '100:100:', instant: {current: '100:100:'}, tables: [], storage: localRepository('/nowhere')}
  const table = (writers: Partial<WritingTransaction>[]): InvestigatedTable => ({schema: 'public', name: 'leads', rows: 5000, history: [5000], writers: writers.map((one) => ({transaction: '200', rows: 4000, share: 0.8, frozen: false, notIn: 'b', ...one}))})
  const found = (tables: InvestigatedTable[], next = '300') => suspectsOf(tables, {backups: [backup], named: false, next}).map(({writer, certainty}) => [writer.transaction, certainty])

  it('wrote much, after the backup', () => {
    expect(found([table([{}])])).to.deep.equal([['200', 'likely']])
    expect(found([table([{rows: 99}])])).to.deep.equal([])
    const {notIn, ...old} = table([{}]).writers?.[0] ?? {notIn: ''}
    expect([notIn, found([{...table([]), writers: [old as WritingTransaction]}])]).to.deep.equal(['b', []])
  })
  it('is not what dr itself put back', () => { expect(found([table([{repair: 'r', rows: 4000}, {transaction: '199', rows: 1000}])])).to.deep.equal([['199', 'likely']]) })
  it('is only possible when it does not stand out', () => { expect(found([table([{rows: 3000}, {transaction: '201', rows: 1500}])])).to.deep.equal([['200', 'possible']]) })
  it('is not taken from a frozen number once the server has given all of them out', () => {
    expect(found([table([{frozen: true}])])).to.deep.equal([['200', 'likely']])
    expect(found([table([{frozen: true}])], String(ROUND + 300n))).to.deep.equal([])
  })
})

describe('--since', () => {
  const now = new Date('2026-11-27T12:00:00Z')
  const times: [string, string][] = [
    ['6h', '2026-11-27T06:00:00.000Z'], ['2d', '2026-11-25T12:00:00.000Z'], ['2026-11-27', '2026-11-27T00:00:00.000Z'], ['2026-11-27 02:14', '2026-11-27T02:14:00.000Z'],
    ['2026-11-27T02:14:07.5Z', '2026-11-27T02:14:07.500Z'], ['2026-11-27 02:14 UTC', '2026-11-27T02:14:00.000Z'], ['2026-11-27T07:14+05:00', '2026-11-27T02:14:00.000Z'],
  ]
  for (const [text, instant] of times) it(`takes ${text}`, () => { expect(instantOf(text, now)).to.equal(instant) })
  for (const text of ['yesterday', '', '2026-13-01', '2026-11-28', '27.11.2026']) it(`refuses «${text}»`, () => { expect(() => instantOf(text, now)).to.throw().with.property('exitCode', 2) })
})
