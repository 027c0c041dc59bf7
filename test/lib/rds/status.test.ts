import {expect} from 'chai'
import {kindOf, remedyOf, terminalStatuses} from '../../../src/lib/rds/status.ts'

describe('the status of an instance', () => {
  it('is ready, on its way, or the end', () => {
    for (const status of ['available', 'storage-optimization', 'backing-up']) expect(kindOf(status), status).to.equal('ready')
    for (const status of ['creating', 'modifying', 'configuring-log-exports', 'configuring-iam-database-auth', 'rebooting', 'renaming', 'maintenance', 'starting', 'upgrading', 'resetting-master-credentials', 'of-next-year']) expect(kindOf(status), status).to.equal('progress')
    for (const status of ['failed', 'incompatible-restore', 'incompatible-network', 'incompatible-parameters', 'incompatible-option-group', 'inaccessible-encryption-credentials', 'insufficient-capacity', 'restore-error', 'storage-full', 'deleting', 'stopped']) expect(kindOf(status), status).to.equal('terminal')
  })

  it('has a remedy where it is the end, and nowhere else', () => {
    for (const status of terminalStatuses) expect(remedyOf(status), status).to.match(/: .*(restore again|enable it|aws rds|look at)/)
    expect(remedyOf('available')).to.equal(undefined)
  })
})
