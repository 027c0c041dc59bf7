import {expect} from 'chai'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {inFolder, Members} from '../../../../src/lib/procedures/restore/members.ts'
import type {FoundBackup} from '../../../../src/lib/procedures/restore/source.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {temporaryFolder} from '../../../support/temporary.ts'

describe('the staging folder of a restore', () => {
  const folder = temporaryFolder()

  it('that cannot be made is said in words', async () => {
    const file = join(folder.path, 'file')
    await writeFile(file, '')
    const error = await drErrorOf(new Members({backup: {location: 's3://b/x'} as FoundBackup, stagingDirectory: join(file, 'staging')}).open())
    expect(error).to.include({code: 'restore.folder', exitCode: 3})
    expect(error.hints.join()).to.contain('backup.stagingDirectory')
  })

  it('on a full disk asks for space', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {code: 'ENOSPC'})
    const error = await drErrorOf(inFolder(folder.path, () => Promise.reject(full)))
    expect(error).to.include({code: 'restore.folder', exitCode: 3})
    expect(error.hints.join()).to.contain('Free space')
  })

  it('has nothing to do with other errors', async () => {
    const other = Object.assign(new Error('reset'), {code: 'ECONNRESET'})
    expect(await inFolder(folder.path, () => Promise.reject(other)).catch((error: unknown) => error)).to.equal(other)
  })
})
