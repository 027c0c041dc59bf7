import {expect} from 'chai'
import {isLabel, newLabel, newestFirst, parseLabel} from '../../../src/lib/repository/label.ts'

describe('labels', () => {
  it('are UTC time and something random', () => {
    const now = new Date('2026-11-22T02:00:09.987Z')
    expect(newLabel(now, '7f3a')).to.equal('20261122T020009Z-7f3a')
    expect(newLabel(now)).to.match(/^20261122T020009Z-[\da-f]{4}$/)
    expect(new Set(Array.from({length: 50}, () => newLabel(now))).size).to.be.greaterThan(40)
  })

  it('are read back', () => {
    expect(parseLabel('20261122T020009Z-7f3a')).to.deep.equal({at: new Date('2026-11-22T02:00:09Z'), suffix: '7f3a'})
  })

  it('are told from other names', () => {
    for (const text of ['', 'latest', '20261122T020009Z', '20261122T020009Z-7F3A', '20260230T000000Z-aaaa', '20261322T020009Z-7f3a', '20261122T250009Z-7f3a', 'x20261122T020009Z-7f3a', '20261122T020009Z-7f3a/']) {
      expect(isLabel(text), text).to.equal(false)
      expect(() => parseLabel(text)).to.throw('is not a label')
    }
  })

  it('sort by time', () => {
    const labels = ['20260102T000000Z-0000', '20251231T235959Z-ffff', '20260102T000001Z-0000']
    expect(newestFirst(labels)).to.deep.equal(['20260102T000001Z-0000', '20260102T000000Z-0000', '20251231T235959Z-ffff'])
  })
})
