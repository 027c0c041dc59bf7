import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import type {RestoreState} from '../../../../src/lib/procedures/restore/options.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {serverMajors} from '../../../support/cluster.ts'
import {PROVIDER_TENANTS, startProvider, type Provider} from '../../../support/provider.ts'
import {runRestore, wrongFindings, type RestoreOutcome, type RestoreSetting} from '../../../support/restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'

const succeeded = ({error, state}: RestoreOutcome): RestoreState => {
  if (error) throw error
  expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
  return state
}

for (const major of serverMajors) {
  describe(`a provider's database on PostgreSQL ${major}`, function () {
    this.timeout(180_000)
    let provider: Provider
    let directory = ''
    const restore = (more: Partial<RestoreSetting> = {}) => runRestore({url: provider.masterUrl(), directory, ...more})
    const backup = async () => {
      const {error} = await runBackup({url: provider.masterUrl(), directory, toolsMajor: major === 18 ? 18 : 17, digest: true, accept: true})
      if (error) throw error
    }
    const databases = () => withClient(provider.cluster.adminUrl, {}, async (client) => (await rowsOf<{name: string}>(client, 'SELECT datname AS name FROM pg_database ORDER BY 1')).map(({name}) => name))
    const done = async (state: RestoreState) => { await provider.drop(state.database) }
    /** As the provider's superuser, with what takes it back. */
    const changed = async (sql: string, undo: string, work: () => Promise<void>) => {
      await provider.support(sql)
      try {
        await backup()
        await work()
      } finally {
        await provider.support(undo)
      }
    }

    before(async () => {
      provider = await startProvider(major)
      directory = await temporaryFolder('provider')
      await provider.stay()
      await backup()
    })
    after(async () => {
      await provider.stop()
      await removeFolder(directory)
    })

    it('is restored by its master, with owners, privileges and policies, while the superuser is connected', async () => {
      const state = succeeded(await restore())
      expect(wrongFindings(state.findings)).to.deep.equal([])
      expect(state).to.include({owner: 'crm_owner', outcome: major < 17 ? 'harmless' : 'clean'})
      expect(firstDifference(await schemaOf(provider.masterUrl(state.database), major), await schemaOf(provider.masterUrl(), major))).to.equal(undefined)
      await done(state)
    })

    it('shows a tenant its own rows only', async () => {
      const state = succeeded(await restore())
      await withClient(provider.url('crm_app', state.database), {}, async (client) => {
        for (const tenant of ['', ...PROVIDER_TENANTS]) {
          await client.query("SELECT set_config('app.current_tenant', $1, false)", [tenant])
          const rows = await rowsOf<{tenantId: string; count: number}>(client, 'SELECT "tenantId", count(*)::int FROM leads GROUP BY 1')
          expect(rows).to.deep.equal(tenant === '' ? [] : [{tenantId: tenant, count: 200}])
        }
      })
      await done(state)
    })

    it('is refused by name where only the provider may create an extension, and restored without it', async () => {
      await changed('CREATE EXTENSION dblink', 'DROP EXTENSION dblink', async () => {
        const before = await databases()
        const refused = await restore()
        expect(refused.error).to.include({code: 'restore.superuser', exitCode: 1}).and.property('message').contains('EXTENSION dblink')
        expect(refused.error?.hints?.join()).to.contain('--skip extension:dblink')
        expect(refused.notices.filter((text) => text.startsWith('repairable, superuser-extension: EXTENSION dblink'))).to.have.length(1)
        expect(await databases()).to.deep.equal(before)
        const state = succeeded(await restore({skip: ['extension:dblink']}))
        expect(state.findings.filter(({code}) => code === 'restore.skipped').map(({subject}) => subject)).to.deep.equal(['EXTENSION dblink'])
        await done(state)
      })
    })

    it('is refused before rows are loaded where it has event triggers and publications of all tables, and restored without them', async () => {
      const make = `CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; ALTER FUNCTION public.on_ddl() OWNER TO crm_owner;
        CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.on_ddl(); COMMENT ON EVENT TRIGGER watch IS 'x'; CREATE PUBLICATION everything FOR ALL TABLES`
      await changed(make, 'DROP PUBLICATION everything; DROP EVENT TRIGGER watch; DROP FUNCTION public.on_ddl()', async () => {
        const before = await databases()
        const steps: string[] = []
        const map = {roleMap: ['rdsadmin=crm_owner']}
        const owners = await restore()
        expect(owners.error).to.include({code: 'restore.owners', exitCode: 3}).and.property('message').contains('rdsadmin (PUBLICATION everything, EVENT TRIGGER watch)')
        expect(owners.error?.hints?.join()).to.contain('Or leave it out: --skip publications --skip event-triggers')
        const refused = await restore({...map, onStep: (id) => steps.push(id)})
        expect(refused.error).to.include({code: 'restore.superuser', exitCode: 3}).and.property('message').contains('EVENT TRIGGER watch').and.contains('PUBLICATION everything')
        expect(refused.error?.hints?.join()).to.contain('--skip event-triggers --skip publications')
        expect(steps).to.include('restore.rights').and.not.include('restore.load')
        expect(await databases()).to.deep.equal(before)
        const state = succeeded(await restore({...map, skip: ['event-triggers', 'publications']}))
        expect(state.findings.filter(({code}) => code === 'restore.skipped').map(({subject}) => subject).toSorted()).to.deep.equal(['EVENT TRIGGER watch', 'PUBLICATION everything'])
        await done(state)
      })
    })

    it('is refused where the master cannot become an owner, says who may change that, and does it where the master may', async () => {
      await changed('CREATE ROLE other_owner; CREATE TABLE public.others (i int); ALTER TABLE public.others OWNER TO other_owner; GRANT CREATE, USAGE ON SCHEMA public TO other_owner', 'DROP TABLE public.others; REVOKE ALL ON SCHEMA public FROM other_owner; DROP ROLE other_owner', async () => {
        const refused = await restore()
        expect(refused.error).to.include({code: 'restore.owners', exitCode: 3}).and.property('message').contains('other_owner')
        expect(refused.error?.hints?.join()).to.contain('GRANT "other_owner" TO "crm_master"')
        // From 16 on only who administers a role may give it; before, whoever may create roles.
        if (major >= 16) {
          expect(refused.error?.hints?.join()).to.contain('Who administers this role')
          await provider.support('GRANT other_owner TO crm_master WITH ADMIN TRUE, INHERIT FALSE, SET FALSE')
        }
        const itself = await restore()
        expect(itself.error).to.include({code: 'restore.owners'})
        expect(itself.error?.hints?.join()).to.contain('crm_master may do this itself').and.contain('--create-roles')
        const state = succeeded(await restore({createRoles: true}))
        expect(state.roles).to.deep.include({created: [], granted: [{member: 'crm_master', group: 'other_owner'}]})
        await done(state)
      })
    })

    it('gives what is the superuser\'s to another role', async () => {
      await changed('CREATE TABLE public.theirs (i int); INSERT INTO public.theirs VALUES (1); GRANT SELECT ON public.theirs TO crm_owner, crm_master', 'DROP TABLE public.theirs', async () => {
        const refused = await restore()
        expect(refused.error).to.include({code: 'restore.owners'}).and.property('message').contains('rdsadmin')
        expect(refused.error?.hints?.join()).to.contain('--role-map rdsadmin=')
        const state = succeeded(await restore({roleMap: ['rdsadmin=crm_owner']}))
        await withClient(provider.masterUrl(state.database), {}, async (client) => {
          expect(await rowsOf(client, "SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'theirs'")).to.deep.equal([{owner: 'crm_owner'}])
        })
        await done(state)
      })
    })

    it('keeps privileges that were passed on, by whom they were', async () => {
      await changed('SET ROLE crm_app; GRANT SELECT ON public.tenants TO crm_report; RESET ROLE', 'SET ROLE crm_app; REVOKE SELECT ON public.tenants FROM crm_report; RESET ROLE', async () => {
        const refused = await restore()
        expect(refused.error).to.include({code: 'restore.owners'}).and.property('message').contains('crm_app')
        await provider.support(`GRANT crm_app TO crm_master${major >= 16 ? ' WITH INHERIT TRUE, SET TRUE' : ''}`)
        const state = succeeded(await restore())
        const grants = (database?: string) => withClient(provider.masterUrl(database), {}, (client) => rowsOf(client, "SELECT pg_get_userbyid(grantor) AS grantor, pg_get_userbyid(grantee) AS grantee, privilege_type, is_grantable FROM pg_class, aclexplode(relacl) WHERE relname = 'tenants' ORDER BY 1, 2, 3"))
        expect(await grants(state.database)).to.deep.equal(await grants())
        expect(JSON.stringify(await grants())).to.contain('{"grantor":"crm_app","grantee":"crm_report"')
        await done(state)
        await provider.support('REVOKE crm_app FROM crm_master')
      })
    })
  })
}
