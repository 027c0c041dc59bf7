import {expect} from 'chai'
import type {DrError} from '../../../src/lib/errors.ts'
import {assertWithin, lagWarning} from '../../../src/lib/rds/window.ts'

const NOW = new Date('2026-11-22T10:00:00Z')
const shown = (at: Date) => at.toISOString().slice(11, 16)
const window = (latest: string) => ({earliest: '2026-11-22T02:00:00.000Z', latest: `2026-11-22T${latest}:00.000Z`})

function refusal(to: string, latest: string): DrError {
  try {
    assertWithin(new Date(`2026-11-22T${to}:00Z`), window(latest), NOW, shown)
  } catch (error) {
    return error as DrError
  }
  throw new Error('It was not refused.')
}

describe('the restore window', () => {
  it('takes what lies in it, its ends too, and the latest time whatever it is', () => {
    for (const to of ['02:00', '05:30', '09:56']) assertWithin(new Date(`2026-11-22T${to}:00Z`), window('09:56'), NOW, shown)
    assertWithin(undefined, window('09:56'), NOW, shown)
  })

  it('names both ends when the time is outside', () => {
    expect(refusal('01:59', '09:56')).to.include({code: 'pitr.window', exitCode: 3, message: '01:59 is before the restore window. It can be restored from 02:00, to 09:56.'})
    expect(refusal('09:57', '09:56').message).to.equal('09:57 is after the restore window. It can be restored from 02:00, to 09:56.')
  })

  it('says when to try again for a time that is not archived yet, and that the archive lags when it does', () => {
    expect(refusal('09:58', '09:56').hints).to.include('AWS archives every five minutes: try again at 10:03 UTC.')
    expect(refusal('09:50', '09:46').hints[0], 'a time that should be there by now').to.contain('try again at 10:05 UTC')
    expect(refusal('09:30', '09:20').hints[0]).to.contain('The archive lags')
    expect(lagWarning(window('09:45'), NOW, shown)).to.equal(undefined)
    expect(lagWarning(window('09:44'), NOW, shown)).to.contain('09:44')
  })
})
