import {expect} from 'chai'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {crmFixture, succeeded} from '../../../support/crm.ts'
import type {RestoreSetting} from '../../../support/restore.ts'
import {runSwap} from '../../../support/swap.ts'

describe('a restore that is to be swapped in refuses, before anything is made,', function () {
  this.timeout(240_000)
  const crm = crmFixture()
  const {all, restore, standing} = crm

  const refused = async (more: Partial<RestoreSetting> = {}) => {
    const before = await all()
    const {error} = await restore(more)
    expect(await all()).to.deep.equal(before)
    return {code: error?.code, exitCode: error?.exitCode, hints: error?.hints ?? [], message: error?.message ?? ''}
  }

  it('a backup of another environment or database, unless it is named', async () => {
    const staging = await temporaryFolder('swap')
    try {
      const {error, state} = await runBackup({url: crm.cluster.url('crm'), directory: staging, toolsMajor: 17, environment: 'staging'})
      if (error) throw error
      const path = `${staging}/backups/staging/${state.label ?? ''}`
      const {code, exitCode, hints} = await refused({backup: path})
      expect({code, exitCode}).to.deep.equal({code: 'swap.other-source', exitCode: 3})
      expect(hints.join()).to.include('--from staging/crm')
      expect(await refused({backup: path, swap: {from: 'staging/other'}})).to.include({code: 'swap.other-source'})
      await crm.admin.query('ALTER DATABASE crm RENAME TO crm2')
      expect(await refused({url: crm.cluster.url('crm2')})).to.include({code: 'swap.other-source'})
      succeeded(await restore({url: crm.cluster.url('crm2'), backup: path, swap: {from: 'staging/crm'}}))
    } finally {
      await removeFolder(staging)
    }
  })

  it('prepared transactions, logical slots, subscriptions', async () => {
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("BEGIN; UPDATE public.leads SET title = '' WHERE id = 1; PREPARE TRANSACTION 'it''s'"))
    expect(await refused()).to.include({code: 'swap.prepared', exitCode: 3}).and.to.have.property('message').which.includes("it's")
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("ROLLBACK PREPARED 'it''s'"))
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')"))
    expect(await refused()).to.include({code: 'swap.slots', exitCode: 3}).and.to.have.property('message').which.includes('cdc')
    await crm.admin.query("SELECT pg_drop_replication_slot('cdc')")
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 dbname=nowhere' PUBLICATION p WITH (connect = false)"))
    expect(await refused()).to.include({code: 'swap.subscriptions', exitCode: 3}).and.to.have.property('message').which.includes('feed')
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query('ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed'))
  })

  it('a role that may not rename it', async () => {
    await crm.admin.query("CREATE ROLE stranger LOGIN CREATEDB PASSWORD 's'; GRANT crm_app TO stranger; GRANT pg_read_all_data TO stranger; GRANT CONNECT ON DATABASE crm TO stranger; CREATE ROLE poor LOGIN PASSWORD 'p'; GRANT crm_owner TO poor")
    for (const [role, says] of [[{name: 'stranger', password: 's'}, /may not rename crm: it belongs to crm_owner|cannot give objects/], [{name: 'poor', password: 'p'}, /CREATEDB|may not create/]] as const) {
      const {exitCode, message} = await refused({url: crm.cluster.url('crm', role)})
      expect(exitCode).to.equal(3)
      expect(message).to.match(says)
    }
    await crm.admin.query('CREATE DATABASE crm_other OWNER stranger')
    expect((await runSwap('crm_other', standing({url: crm.cluster.url('crm', {name: 'stranger', password: 's'})}))).error).to.include({code: 'swap.rights'})
  })

  it('a disk that has no room for it', async () => {
    const {code, exitCode, message} = await refused({swap: {source: {title: 'a huge backup', bytes: 1e18}}})
    expect({code, exitCode}).to.deep.equal({code: 'swap.space', exitCode: 3})
    expect(message).to.match(/has [\d.]+ [MGT]B free; the new database takes about /)
  })
})
