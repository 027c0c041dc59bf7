import {expect} from 'chai'
import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import type {RestoreResult} from '../../../../src/commands/restore/index.ts'
import {connect, endQuietly, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {RestoreState} from '../../../../src/lib/procedures/restore/options.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {privateCluster, testCluster, type TestCluster} from '../../../support/cluster.ts'
import {finishDr, startDr} from '../../../support/process.ts'
import {startProvider, type Provider} from '../../../support/provider.ts'
import {runRestore, wrongFindings, type RestoreOutcome, type RestoreSetting} from '../../../support/restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {clientTools} from '../../../support/tools.ts'

const succeeded = ({error, state}: RestoreOutcome, expected: readonly string[] = []): RestoreState => {
  if (error) throw error
  expect(wrongFindings(state.findings).map((text) => text.split(':')[0])).to.deep.equal(expected)
  return state
}

/** Everything that names a role, on the whole server but in one database. */
const DEPENDENCIES = "SELECT dbid, classid, objid, objsubid, refobjid::regrole::text AS role, deptype FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND dbid IS DISTINCT FROM (SELECT oid FROM pg_database WHERE datname = $1) AND (classid <> 'pg_database'::regclass OR objid IS DISTINCT FROM (SELECT oid FROM pg_database WHERE datname = $1)) ORDER BY 1, 2, 3, 4, 5, 6"
const NAMED = "SELECT DISTINCT refobjid::regrole::text AS role FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND dbid = (SELECT oid FROM pg_database WHERE datname = $1)"

for (const major of [15, 18] as const) {
  describe(`--role-map on PostgreSQL ${major}`, function () {
    this.timeout(120_000)
    let cluster: TestCluster
    let admin: Client
    let directory = ''
    let url = ''

    before(async () => {
      cluster = await testCluster({major})
      admin = await connect(cluster.adminUrl)
      ;({url} = await createAwkwardDatabase(cluster, 'mapped_source'))
      await withClient(url, {}, (client) => client.query('SET SESSION AUTHORIZATION awkward_app; GRANT SELECT ON odd.secured TO awkward_reader; RESET SESSION AUTHORIZATION'))
      await admin.query('CREATE ROLE mapped_owner; CREATE ROLE mapped_app LOGIN; CREATE ROLE "Mapped; ""Reader"""; GRANT "Mapped; ""Reader""" TO mapped_app; GRANT "Mapped; ""Reader""" TO mapped_owner WITH ADMIN OPTION')
      directory = await temporaryFolder('roles')
      const {error} = await runBackup({url, directory, digest: true, toolsMajor: major === 18 ? 18 : 17})
      if (error) throw error
    })
    after(async () => {
      await cluster.drop('mapped_source')
      await admin.query('DROP ROLE mapped_owner; DROP ROLE mapped_app; DROP ROLE "Mapped; ""Reader"""')
      await endQuietly(admin)
      await removeFolder(directory)
    })

    afterEach(() => cluster.drop('mapped_target'))

    const MAP = ['awkward_owner=mapped_owner', 'awkward_app=mapped_app', 'awkward_reader=Mapped; "Reader"']
    /** The source's schema with the names of the map. */
    const mappedSchema = async () => (await schemaOf(url, major)).replaceAll(/\bawkward_(owner|app)\b/g, 'mapped_$1').replaceAll(/\bawkward_reader\b/g, '"Mapped; ""Reader"""')

    it('gives everything to the other roles, and touches the first ones nowhere', async () => {
      const elsewhere = () => rowsOf(admin, DEPENDENCIES, ['mapped_target'])
      const before = await elsewhere()
      const state = succeeded(await runRestore({url, directory, into: 'mapped_target', roleMap: MAP}))
      expect(await elsewhere()).to.deep.equal(before)
      expect(firstDifference(await schemaOf(cluster.url(state.database), major), await mappedSchema())).to.equal(undefined)
      const named = (await rowsOf<{role: string}>(admin, NAMED, [state.database])).map(({role}) => role)
      expect(named.filter((role) => role.startsWith('awkward_'))).to.deep.equal([])
      expect(named).to.include.members(['mapped_owner', 'mapped_app', '"Mapped; ""Reader"""'])
      expect(state.findings.find(({code}) => code === 'integrity.grants')?.severity).to.equal('ok')
      expect(state.findings.find(({code}) => code === 'integrity.policies')?.severity).to.equal('ok')
    })

    it('joins two roles into one that is in the backup itself', async () => {
      const state = succeeded(await runRestore({url, directory, into: 'mapped_target', roleMap: ['awkward_app=awkward_reader', 'awkward; other=awkward_reader']}))
      const named = (await rowsOf<{role: string}>(admin, NAMED, [state.database])).map(({role}) => role)
      expect(named).to.include('awkward_reader').and.not.include('awkward_app').and.not.include('"awkward; other"')
    })

    it('does not need the first role to be there, and refuses while the other is not', async () => {
      const other = await privateCluster(major)
      try {
        const target = {url: other.adminUrl, directory, into: 'mapped_target'}
        const roles = () => withClient(other.adminUrl, {}, (client) => rowsOf<{name: string}>(client, "SELECT rolname AS name FROM pg_roles WHERE rolname ~ 'awkward|everyone' ORDER BY 1"))
        await withClient(other.adminUrl, {}, (client) => client.query('CREATE ROLE everyone'))
        const refused = await runRestore({...target, roleMap: ['awkward_owner=everyone', 'awkward_app=nobody_there', 'awkward_reader=everyone', 'awkward; other=everyone']})
        expect(refused.error).to.include({code: 'restore.roles'}).and.property('message').contains('nobody_there').and.not.contains('awkward_')
        succeeded(await runRestore({...target, roleMap: ['awkward_owner=everyone', 'awkward_app=everyone', 'awkward_reader=everyone', 'awkward; other=everyone']}))
        expect(await roles()).to.deep.equal([{name: 'everyone'}])
      } finally {
        await other.stop()
      }
    })

    it('refuses a map that cannot be meant', async () => {
      const error = async (roleMap: readonly string[]) => (await runRestore({url, directory, into: 'mapped_target', roleMap})).error
      expect(await error(['awkward_owner'])).to.include({code: 'restore.role-map', exitCode: 2})
      expect(await error(['awkward_owner=a', 'awkward_owner=b'])).to.include({code: 'restore.role-map', exitCode: 2})
      expect(await error(['awkward_owner=awkward_app', 'awkward_app=awkward_reader'])).to.include({code: 'restore.role-map', exitCode: 2})
      expect(await error(['nobody=mapped_owner'])).to.include({code: 'restore.role-map', exitCode: 3}).and.property('hints').that.satisfies((hints: string[]) => hints.join().includes('awkward_owner'))
    })
  })
}

describe('--create-roles', function () {
  this.timeout(180_000)
  let provider: Provider
  let directory = ''
  before(async () => {
    provider = await startProvider(16)
    directory = await temporaryFolder('roles')
    await provider.support('ALTER ROLE crm_report CREATEDB; ALTER ROLE crm_app BYPASSRLS')
    const {error} = await runBackup({url: provider.masterUrl(), directory, toolsMajor: 17})
    if (error) throw error
  })
  after(async () => {
    await provider.stop()
    await removeFolder(directory)
  })

  const MADE = ['crm_app', 'crm_master', 'crm_owner', 'crm_reader', 'crm_report', 'rds_password', 'rds_replication', 'rds_superuser']

  for (const major of [15, 17] as const) {
    describe(`by a role that is no superuser on PostgreSQL ${major}`, () => {
      let cluster: TestCluster
      let admin: Client
      let setting: RestoreSetting
      before(async () => {
        cluster = await testCluster({major})
        admin = await connect(cluster.adminUrl)
        // From 16 on only who administers a group may pass it on.
        await admin.query(`CREATE ROLE roles_maker LOGIN CREATEDB CREATEROLE PASSWORD 'maker'; GRANT pg_monitor, pg_signal_backend, pg_read_all_data, pg_write_all_data TO roles_maker WITH ADMIN OPTION`)
        setting = {url: cluster.url('crm', {name: 'roles_maker', password: 'maker'}), directory, into: 'roles_target'}
      })
      after(async () => {
        await cluster.drop('roles_target')
        await admin.query('DROP OWNED BY roles_maker; DROP ROLE roles_maker')
        await endQuietly(admin)
      })
      const present = async () => (await rowsOf<{name: string}>(admin, 'SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1::text[]) ORDER BY 1', [MADE])).map(({name}) => name)
      const dropRoles = async () => {
        await cluster.drop('roles_target')
        await admin.query(`DROP ROLE IF EXISTS ${MADE.join(', ')}`)
      }

      it('is offered where roles are missing', async () => {
        const {error} = await runRestore(setting)
        expect(error).to.include({code: 'restore.roles', exitCode: 3})
        expect(error?.hints?.join()).to.contain('--create-roles')
        expect(await present()).to.deep.equal([])
      })

      it('makes them without passwords, restores, and lists who needs one', async () => {
        const {state, error} = await runRestore({...setting, createRoles: true})
        if (error) throw error
        expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
        expect(state.roles?.created.toSorted()).to.deep.equal(MADE)
        expect(state.roles?.needPassword.toSorted()).to.deep.equal(['crm_app', 'crm_master', 'crm_report'])
        expect(state.findings.filter(({code}) => code === 'restore.password-needed').map(({subject}) => subject).toSorted()).to.deep.equal(['crm_app', 'crm_master', 'crm_report'])
        expect(state.roles?.refused.map(({role, attribute}) => `${role} ${attribute}`)).to.include('crm_app BYPASSRLS')
        const roles = await rowsOf(admin, "SELECT rolname, rolpassword IS NULL AS no_password, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolconnlimit FROM pg_authid WHERE rolname IN ('crm_app', 'crm_report', 'crm_owner') ORDER BY 1")
        expect(roles).to.deep.equal([
          {rolname: 'crm_app', no_password: true, rolcanlogin: true, rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolconnlimit: -1},
          {rolname: 'crm_owner', no_password: true, rolcanlogin: false, rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolconnlimit: -1},
          {rolname: 'crm_report', no_password: true, rolcanlogin: true, rolsuper: false, rolcreatedb: true, rolcreaterole: false, rolconnlimit: 5},
        ])
        const member = "SELECT pg_has_role('crm_app', 'crm_reader', 'MEMBER') AS app, pg_has_role('crm_master', 'crm_owner', 'MEMBER') AS master, pg_has_role('crm_report', 'crm_owner', 'MEMBER') AS report"
        expect(await rowsOf(admin, member)).to.deep.equal([{app: true, master: true, report: false}])
        await dropRoles()
      })

      it('takes them back with a restore that fails or is interrupted', async () => {
        const stop = new AbortController()
        const {error} = await runRestore({...setting, createRoles: true, signal: stop.signal, onStep: (id) => { if (id === 'restore.load') stop.abort(new Error('enough')) }})
        expect(error?.message).to.equal('enough')
        expect(await present()).to.deep.equal([])
      })

      it('leaves those alone that were there, and those that something depends on by then', async () => {
        await admin.query('CREATE ROLE crm_reader; CREATE ROLE crm_report LOGIN')
        if (major >= 16) {
          const {error} = await runRestore({...setting, createRoles: true})
          expect(error).to.include({code: 'restore.memberships', exitCode: 3})
          expect(error?.hints?.join()).to.contain('GRANT "crm_reader" TO "crm_app"')
          expect(await present()).to.deep.equal(['crm_reader', 'crm_report'])
        }
        await admin.query('GRANT crm_reader, crm_report TO roles_maker WITH ADMIN OPTION')
        const stop = new AbortController()
        const using = async (id: string) => {
          if (id !== 'restore.rest') return
          await admin.query('CREATE TABLE roles_used (i int); ALTER TABLE roles_used OWNER TO crm_app')
          stop.abort(new Error('enough'))
        }
        const {error, notices} = await runRestore({...setting, createRoles: true, signal: stop.signal, onStep: (id) => { void using(id) }})
        expect(error?.message).to.equal('enough')
        expect(await present()).to.deep.equal(['crm_app', 'crm_reader', 'crm_report'])
        expect(notices.join()).to.contain('Something depends on crm_app')
        expect(await rowsOf(admin, "SELECT FROM pg_auth_members WHERE member = 'crm_report'::regrole")).to.deep.equal([])
        await admin.query('DROP TABLE roles_used')
        await dropRoles()
      })

      it('takes them back, or knows them again, after a run that was killed', async () => {
        const env = {DATABASE_URL: setting.url, DR_DATA_DIR: directory, DR_PG_BIN: await clientTools(17)}
        const killed = async (): Promise<string> => {
          const run = startDr(['restore', 'latest', '--create-roles', '--into', 'roles_target', '--no-input'], directory, {env})
          await run.see(/Load the tables.*: started/)
          run.child.kill('SIGKILL')
          await run.ended
          expect(await present()).to.deep.equal(MADE)
          return (await readdir(join(directory, 'journal'))).toSorted().at(-1)?.replace(/\.jsonl$/, '') ?? ''
        }
        const undone = await finishDr(['resume', await killed(), '--undo', '--no-input'], directory, {env})
        expect(undone.code, undone.stderr).to.equal(0)
        expect(await present()).to.deep.equal([])
        const resumed = await finishDr(['resume', await killed(), '--json'], directory, {env})
        expect(resumed.code, resumed.stderr).to.equal(0)
        const {roles, outcome} = JSON.parse(resumed.stdout) as RestoreResult
        expect(outcome).to.equal(major < 17 ? 'harmless' : 'clean')
        expect(roles?.created.toSorted()).to.deep.equal(MADE)
        expect(roles?.needPassword.toSorted()).to.deep.equal(['crm_app', 'crm_master', 'crm_report'])
        await dropRoles()
      })

      it('makes what the map names', async () => {
        const {state, error} = await runRestore({...setting, createRoles: true, roleMap: ['crm_owner=roles_maker', 'crm_master=roles_maker', 'crm_reader=crm_readers']})
        if (error) throw error
        expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
        expect(state.roles?.created).to.include('crm_readers').and.not.include('crm_reader').and.not.include('crm_owner')
        await cluster.drop('roles_target')
        await admin.query(`DROP ROLE ${(state.roles?.created ?? []).map((name) => admin.escapeIdentifier(name)).join(', ')}`)
      })
    })
  }

  it('is refused where the role may make none', async () => {
    const cluster = await testCluster({major: 17})
    await withClient(cluster.adminUrl, {}, (client) => client.query("CREATE ROLE roles_none LOGIN CREATEDB PASSWORD 'none'"))
    const {error} = await runRestore({url: cluster.url('crm', {name: 'roles_none', password: 'none'}), directory, into: 'roles_target', createRoles: true})
    expect(error).to.include({code: 'restore.createrole', exitCode: 3})
    await withClient(cluster.adminUrl, {}, (client) => client.query('DROP ROLE roles_none'))
  })
})
