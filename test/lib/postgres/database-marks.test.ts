import {expect} from 'chai'
import {keptName, markedComment, operatorsComment, readMark, type DatabaseMark} from '../../../src/lib/postgres/database-marks.ts'

const mark: DatabaseMark = {kind: 'kept', live: 'crm', name: 'crm_before_20261122100824', at: '2026-11-22T10:08:24.000Z', run: '20261122T100824Z-restore-4a9e', comment: 'ours'}

describe('the mark in the comment of a database', () => {
  for (const [what, more] of [
    ['a plain one', {}], ['no comment', {comment: undefined}], ['one with errors', {flawed: true}], ['an empty comment', {comment: ''}], ['a comment of several lines', {comment: 'one\ntwo\n\n'}],
    ['odd names', {live: 'a "b" \\ c\nd as "e"', name: 'ü\'s at by'}], ['a comment that looks like a mark', {comment: markedComment({...mark, run: 'other'})}],
  ] as [string, Partial<DatabaseMark>][]) {
    it(`is read back: ${what}`, () => {
      expect(readMark(markedComment({...mark, ...more}))).to.deep.equal({...mark, ...more})
      expect(operatorsComment(markedComment({...mark, ...more}))).to.equal('comment' in more ? more.comment : 'ours')
    })
  }

  it('is not seen where there is none', () => {
    for (const comment of [undefined, '', 'dr kept it', 'dr restore r of l, unfinished', 'dr kept "crm" as "x', ` ${markedComment(mark)}`]) {
      expect(readMark(comment)).to.equal(undefined)
      expect(operatorsComment(comment)).to.equal(comment)
    }
  })

  it('goes with a name of at most 63 bytes that keeps the time', () => {
    const at = new Date('2026-11-22T10:08:24Z')
    expect(keptName('crm', 'kept', at)).to.equal('crm_before_20261122100824')
    expect(keptName('crm', 'undone', at)).to.equal('crm_undone_20261122100824')
    for (const long of ['x'.repeat(63), 'ü'.repeat(31)]) {
      const name = keptName(long, 'kept', at)
      expect(Buffer.byteLength(name)).to.be.at.most(63)
      expect(name).to.match(/_before_20261122100824$/)
    }
  })
})
