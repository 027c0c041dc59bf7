import {expect} from 'chai'
import {connect, endQuietly, type Client} from '../../../src/lib/postgres/connection.ts'
import {globalsSql, readDatabase, readRoles, type RoleFacts} from '../../../src/lib/postgres/roles.ts'
import {runTool} from '../../../src/lib/system/tool.ts'
import {testCluster} from '../../support/cluster.ts'

const ROLES = ['member_of_roles', 'group_plain', 'group_admin', 'group_bare']

describe('the roles of a database', () => {
  let client: Client
  let url = ''
  const drop = () => client.query(`DROP OWNED BY ${ROLES.join(', ')}; DROP ROLE ${ROLES.join(', ')}`)
  const member = (roles: readonly RoleFacts[]) => roles.find(({name}) => name === 'member_of_roles')
  before(async () => {
    url = await (await testCluster({major: 18})).createDatabase('roles')
    client = await connect(url)
  })
  after(() => endQuietly(client))

  it('keep the options of their memberships through globals.sql', async () => {
    const make = 'CREATE ROLE member_of_roles; CREATE TABLE t (); ALTER TABLE t OWNER TO member_of_roles'
    await client.query(`CREATE ROLE group_plain; CREATE ROLE group_admin; CREATE ROLE group_bare; ${make}`)
    await client.query('GRANT group_plain TO member_of_roles; GRANT group_admin TO member_of_roles WITH ADMIN OPTION; GRANT group_bare TO member_of_roles WITH INHERIT FALSE, SET FALSE')
    const before = await readRoles(client)
    expect(member(before)?.memberOf).to.deep.equal(['group_admin', 'group_bare', 'group_plain'])
    expect(member(before)?.memberships).to.deep.equal([
      {group: 'group_admin', admin: true, inherit: true, set: true}, {group: 'group_bare', admin: false, inherit: false, set: false}, {group: 'group_plain', admin: false, inherit: true, set: true},
    ])
    const sql = globalsSql(before, await readDatabase(client))
    await drop()
    expect(await runTool(['psql', '-X', '-v', 'ON_ERROR_STOP=1', url, '-c', 'SELECT 1'])).to.include({code: 0})
    const played = await runTool(['/bin/sh', '-c', 'printf %s "$2" | psql -X -q -v ON_ERROR_STOP=1 "$1"', 'sh', url, sql])
    expect(played).to.deep.include({code: 0, stderr: []})
    await client.query('CREATE TABLE t (); ALTER TABLE t OWNER TO member_of_roles')
    expect(await readRoles(client)).to.deep.equal(before)
    await drop()
  })
})
