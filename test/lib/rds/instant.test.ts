import {expect} from 'chai'
import {parseInstant} from '../../../src/lib/rds/instant.ts'

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
})
