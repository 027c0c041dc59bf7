import {expect} from 'chai'
import {shownInstant} from '../../../src/lib/report/instant.ts'

const NOW = new Date('2026-11-22T10:00:00Z')

describe('an instant to recover to, shown', () => {
  it('stands in UTC, in the zone of the operator, and with its age', () => {
    expect(shownInstant(new Date('2026-11-22T09:48:00Z'), NOW, 'Asia/Tashkent')).to.equal('2026-11-22 09:48:00 UTC (14:48:00 at GMT+5), 12 min ago')
    expect(shownInstant(new Date('2026-11-22T09:59:18Z'), NOW, 'UTC')).to.equal('2026-11-22 09:59:18 UTC, 42 s ago')
    expect(shownInstant(new Date('2026-11-22T06:55:00Z'), NOW, 'UTC')).to.match(/, 3 h 5 min ago$/)
    expect(shownInstant(new Date('2026-11-15T10:00:00Z'), NOW, 'UTC')).to.match(/, 7 d ago$/)
  })
})
