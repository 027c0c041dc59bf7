import {expect} from 'chai'
import {parseInstant, shownInstant} from '../../../src/lib/rds/instant.ts'

const NOW = new Date('2026-11-22T10:00:00Z')
const read = (text: string) => parseInstant(text, NOW).toISOString()

describe('an instant to recover to', () => {
  it('is read with its zone, or as so long ago', () => {
    for (const [text, expected] of [
      ['2026-11-22T09:00:00Z', '2026-11-22T09:00:00.000Z'], ['2026-11-22 14:00:00+05:00', '2026-11-22T09:00:00.000Z'], ['2026-11-22T14:00+0500', '2026-11-22T09:00:00.000Z'], ['2026-11-22t09:00:00.25z', '2026-11-22T09:00:00.250Z'],
      ['10 minutes ago', '2026-11-22T09:50:00.000Z'], ['90s ago', '2026-11-22T09:58:30.000Z'], ['2 hours ago', '2026-11-22T08:00:00.000Z'], [' 1 day ago ', '2026-11-21T10:00:00.000Z'],
    ] as const) expect(read(text), text).to.equal(expected)
  })

  it('is refused without a zone, in the future, or when there is no such day', () => {
    for (const [text, says] of [['2026-11-22T09:00:00', /has no zone/], ['2026-11-22T10:00:01Z', /in the future/], ['2026-02-31T09:00:00Z', /is no time/], ['2026-11-22T25:00:00Z', /is no time/], ['2026-11-22', /is no time/], ['yesterday', /is no time/], ['', /is no time/], ['-5 minutes ago', /is no time/]] as const) {
      expect(() => read(text), text).to.throw(says).with.property('exitCode', 2)
    }
  })

  it('is shown in UTC, in the zone of the operator, and as its age', () => {
    expect(shownInstant(new Date('2026-11-22T09:48:00Z'), NOW, 'Asia/Tashkent')).to.equal('2026-11-22 09:48:00 UTC (14:48:00 at GMT+5), 12 min ago')
    expect(shownInstant(new Date('2026-11-22T09:59:18Z'), NOW, 'UTC')).to.equal('2026-11-22 09:59:18 UTC, 42 s ago')
    expect(shownInstant(new Date('2026-11-22T06:55:00Z'), NOW, 'UTC')).to.match(/, 3 h 5 min ago$/)
    expect(shownInstant(new Date('2026-11-15T10:00:00Z'), NOW, 'UTC')).to.match(/, 7 days ago$/)
  })
})
