import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {readTraits, type DatabaseTraits} from '../../../../src/lib/postgres/database-traits.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {succeeded} from '../../../support/crm.ts'
import {underLoad} from '../../../support/load.ts'
import {PROVIDER_TENANTS, startProvider, type Provider} from '../../../support/provider.ts'
import {runRestore, type RestoreSetting} from '../../../support/restore.ts'
import {runSwap, runUndo} from '../../../support/swap.ts'
import {until} from '../../../support/until.ts'

for (const major of [15, 16, 18] as const) {
  describe(`a swap on a provider's server, PostgreSQL ${major}`, function () {
    this.timeout(240_000)
    let provider: Provider
    let directory = ''

    before(async () => {
      provider = await startProvider(major)
      directory = await temporaryFolder('provider')
      const {error} = await runBackup({url: provider.masterUrl(), directory, toolsMajor: major === 18 ? 18 : 17})
      if (error) throw error
    })
    after(async () => {
      await provider.stop()
      await removeFolder(directory)
    })

    const restore = (more: Partial<RestoreSetting> = {}) => runRestore({url: provider.masterUrl(), directory, swap: {}, ...more})
    const standing = () => ({url: provider.masterUrl(), directory})
    const traits = () => withClient(provider.masterUrl('postgres'), {}, (client) => readTraits(client, 'crm'))
    /** Tenants whose rows the application sees while it works for this one. */
    const seenBy = (tenant: string) => withClient(provider.url('crm_app'), {}, async (client) => {
      await client.query(`SET app.current_tenant = '${tenant}'`)
      return (await rowsOf<{tenantId: string}>(client, 'SELECT DISTINCT "tenantId" FROM public.leads')).map(({tenantId}) => tenantId)
    })
    /** Privileges of who is no longer the owner are the owner's own. */
    const plain = (found: DatabaseTraits | undefined) => ({...found, grants: found?.grants.map(({grantee, privileges}) => ({grantee, privileges: privileges.toSorted()}))})

    it('is done by the customer’s master while the application works, and every tenant sees its own rows', async () => {
      const before = await traits()
      const {result, changeMs} = await underLoad({
        url: provider.url('crm_app'), clients: 10, statements: [`SET app.current_tenant = '${PROVIDER_TENANTS[0]}'`, 'SELECT count(*) FROM public.leads', "INSERT INTO public.calls (\"tenantId\", duration) VALUES ('tenant-a', 1)"],
      }, () => restore())
      const {state} = succeeded(result)
      expect(changeMs).to.be.below(5000)
      expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
      expect(plain(await traits())).to.deep.equal(plain(before))
      for (const tenant of PROVIDER_TENANTS) expect(await seenBy(tenant)).to.deep.equal([tenant])
      const undone = succeeded(await runUndo(standing()))
      expect(undone.state.swap.swapped).to.equal(true)
      expect(plain(await traits())).to.deep.equal(plain(before))
    })

    it('waits for rdsadmin, who may not be ended, and goes on when that one leaves', async () => {
      const leave = await provider.stay()
      const outcome = restore()
      let ended = false
      void outcome.finally(() => { ended = true })
      await until(async () => ended || (await withClient(provider.masterUrl('postgres'), {}, (client) => rowsOf(client, "SELECT FROM pg_database WHERE starts_with(shobj_description(oid, 'pg_database'), 'dr ready ')"))).length > 0, 60_000)
      await leave()
      const {state, notices} = succeeded(await outcome)
      expect(notices.join('\n')).to.match(/this role may not end rdsadmin \(rdsadmin\), process \d+/)
      expect(state.swap?.swapped).to.equal(true)
    })

    it('ends with who is in the way when rdsadmin stays, and is done later', async () => {
      const leave = await provider.stay()
      const {error, state} = await restore({swap: {patienceMs: 200}})
      expect(error).to.include({code: 'swap.busy', exitCode: 6})
      expect(error?.message).to.match(/nothing was changed: rdsadmin \(rdsadmin\), process \d+/)
      await leave()
      succeeded(await runSwap(state.database, standing()))
      expect(await seenBy(PROVIDER_TENANTS[1])).to.deep.equal([PROVIDER_TENANTS[1]])
    })
  })
}
