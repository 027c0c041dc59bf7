import {expect} from 'chai'
import type {KeptBackup, RecoveryList} from '../../../src/lib/report/recovery-list.ts'
import {recoveryListLines} from '../../../src/lib/ui/recovery.ts'

describe('the list of recoveries on a narrow terminal', () => {
  const AT = '2026-11-27T12:00:00.000Z'
  const copy: RecoveryList['copies'][number] = {instance: 'dashboarduz-pitr-back-20261127131248', status: 'available', purpose: 'primary', source: 'dashboarduz', restoredTo: AT, run: '20261127T131026Z-pitr-2b9c', createdAt: AT, host: null, live: false, hydrated: null}
  const backup: KeptBackup = {instance: 'dashboarduz', resourceId: 'db-E3D6B6A59AA935D1C0A2B7F6E4', arn: 'arn:aws:rds:eu-west-1:123456789012:auto-backup:ab-0123456789abcdef', region: 'eu-west-1', earliest: AT, latest: AT}
  const list: RecoveryList = {
    cutovers: [], frozen: [], sources: [], retained: [backup], replicated: [backup], copies: [copy, {...copy, instance: 'dashboarduz-pitr-back-20261127131249'}],
    replaced: [{instance: 'dashboarduz-old-20261127131058', status: 'available', was: 'dashboarduz', by: 'dashboarduz', createdAt: AT}],
  }
  const lines = (width: number) => [...recoveryListLines(list, new Date(AT), width)]

  it('keeps whole what is to be pasted, and leaves out the rest', () => {
    const shown = lines(60).join('\n')
    for (const whole of [`--source-resource-id ${backup.resourceId}`, `--source-backup-arn ${backup.arn ?? ''}`, copy.instance, 'dashboarduz-pitr-back-20261127131249', 'dashboarduz-old-20261127131058']) expect(shown).to.contain(whole)
    expect(shown).not.to.contain('…')
  })

  it('stays within it where names do', () => {
    for (const line of lines(60).filter((one) => !one.includes('arn:'))) expect(line.length, line).to.be.at.most(60)
  })
})
