import {expect} from 'chai'
import {globSync, readFileSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {planRestore} from '../src/lib/rds/restore-plan.ts'
import {tagsOfProof} from '../src/lib/rds/tags.ts'
import {isAllowed, POLICY_PLACES, readPolicy, type Wish} from './support/policy.ts'
import {actionsOfStorage, commandsIn, s3Sources} from './support/recorded-s3.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const ROLES = ['backup', 'restore', 'pitr', 'cutover', 'prune'] as const
type Role = (typeof ROLES)[number]

/** What each role asks of RDS, by the methods of `RdsApi`, and why. A new method belongs here, and its action into the policy. */
const RDS: Readonly<Record<Role, Readonly<Record<string, string>>>> = {
  backup: {
    instance: 'the settings are saved beside the backups', parameterGroup: 'its family', parametersSet: 'what was set in it', proxyTargets: 'the proxy in front of the instance',
  },
  restore: {},
  pitr: {
    instance: 'the source and the copy', instances: 'copies that dr made', automatedBackups: 'from when to when one can go back', hasParameterGroup: 'a check beforehand', hasSubnetGroup: 'a check beforehand', events: 'what AWS noted of a failure',
    restore: 'the recovery', modify: 'settings that a recovery takes no input for', addRole: 'roles do not follow a copy', reboot: 'of the copy, when static parameters wait for it', addTags: 'marks', remove: 'side copies are removed',
  },
  cutover: {
    instance: 'the old one and the new one', instances: 'the copy that is meant', events: 'what AWS noted of a failure', modify: 'renames', snapshot: 'of the old one, first', snapshotNamed: 'whether that is complete',
    addTags: 'marks', removeTags: 'marks that hold no more', proxies: 'whether one leads to the old one', proxyTargets: 'who stands behind the proxy', addProxyTarget: 'the new one', removeProxyTarget: 'the old one',
  },
  prune: {},
}

/** What each role asks of a repository, by the methods of `Storage`. */
const STORAGE: Readonly<Record<Role, readonly string[]>> = {
  backup: ['check', 'list', 'folders', 'stat', 'read', 'put', 'putFile', 'remove', 'abandonedUploads', 'abortUpload'],
  restore: ['check', 'list', 'folders', 'stat', 'read', 'put'],
  pitr: ['list', 'folders', 'stat', 'read'],
  cutover: [],
  prune: ['list', 'folders', 'stat', 'read', 'remove'],
}

/** Actions that AWS asks for besides the one that is called: of its service authorization reference. */
const DEPENDENT: Readonly<Record<Role, readonly string[]>> = {
  backup: ['kms:Decrypt', 'kms:GenerateDataKey'],
  restore: ['kms:Decrypt', 'kms:GenerateDataKey'],
  pitr: ['iam:PassRole', 'kms:CreateGrant', 'kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKey', 'rds:CreateDBSnapshot', 'secretsmanager:CreateSecret', 'secretsmanager:RotateSecret', 'secretsmanager:TagResource'],
  cutover: [],
  prune: ['kms:Decrypt'],
}

/** These know no resources. */
const EVERYWHERE = ['rds:DescribeEvents']

const statementsOf = (role: Role) => readPolicy(role).Statement
const isDependent = ({Sid}: {Sid: string}) => Sid.startsWith('Dependent')
const allowedTo = (role: Role, dependent: boolean) => unique(statementsOf(role).filter((one) => one.Effect === 'Allow' && isDependent(one) === dependent).flatMap(({Action}) => Action))
const unique = (list: Iterable<string>) => [...new Set(list)].toSorted()

/** Of `RdsApi`: each method with its commands, those of the methods that it calls among them. */
function methodsOfRds(): Map<string, string[]> {
  const parts = read('src/lib/rds/api.ts').split(/^ {2}(?=(?:async )?[a-z]\w*\()/m).slice(1)
  const bodies = new Map(parts.map((part) => [/^(?:async )?(\w+)/.exec(part)?.[1] ?? '', part]))
  const commandsOf = (name: string): string[] => [...(bodies.get(name) ?? '').matchAll(/new (\w+)Command\(|\bthis\.(\w+)\(/g)].flatMap(([, command, called]) => command ?? commandsOf(called ?? ''))
  return new Map([...bodies.keys()].map((name): [string, string[]] => [name, commandsOf(name)]).filter(([, commands]) => commands.length > 0))
}

const rdsActionsOf = (role: Role): string[] => Object.keys(RDS[role]).flatMap((method) => (methodsOfRds().get(method) ?? []).map((command) => `rds:${command}`))

describe('the policies of docs/iam', () => {
  it('are all there, one for each role, and JSON of IAM', () => {
    expect(readdirSync(join(root, 'docs/iam')).toSorted()).to.deep.equal(['README.md', ...ROLES.map((role) => `${role}.json`)].toSorted())
    for (const role of ROLES) {
      expect(readPolicy(role).Version, role).to.equal('2012-10-17')
      for (const statement of statementsOf(role)) {
        expect(statement, role).to.include.all.keys('Sid', 'Effect', 'Action', 'Resource')
        expect(statement.Sid, role).to.match(/^[A-Za-z\d]+$/)
        expect([statement.Action.length, statement.Resource.length].every((count) => count > 0), statement.Sid).to.equal(true)
      }
      expect(unique(statementsOf(role).map(({Sid}) => Sid)), role).to.have.length(statementsOf(role).length)
      expect(JSON.stringify(readPolicy(role)).length, `${role}: IAM takes 6144 characters`).to.be.below(6144)
    }
  })

  it('know every command that the code makes, under the name that a denial gives it', () => {
    const rds = commandsIn(read('src/lib/rds/api.ts'))
    expect(rds.filter(({named, command}) => named !== command)).to.deep.equal([])
    expect(unique(rds.map(({command}) => command))).to.deep.equal(unique([...methodsOfRds().values()].flat()))
    expect(unique(rds.map(({command}) => `rds:${command}`))).to.deep.equal(unique(ROLES.flatMap(rdsActionsOf)))
    for (const source of s3Sources()) expect(commandsIn(source).length).to.equal([...source.matchAll(/new \w+Command\(/g)].length)
    expect(unique(s3Sources().flatMap(commandsIn).map(({named}) => named))).to.deep.equal(unique(ROLES.flatMap((role) => allowedTo(role, false)).filter((action) => action.startsWith('s3:'))))
  })

  it('speak of methods that there are', () => {
    expect(unique(ROLES.flatMap((role) => Object.keys(RDS[role]))).filter((method) => !methodsOfRds().has(method))).to.deep.equal([])
  })

  it('are for what the procedures call', () => {
    const callsIn = (pattern: string, leaveOut = /^$/) => unique(globSync(pattern, {cwd: root}).filter((name) => !leaveOut.test(name)).flatMap((name) => [...read(name).matchAll(/\bapi\.(\w+)\(/g)].map(([, method = '']) => method)))
    const missing = (role: Role, calls: readonly string[]) => calls.filter((method) => !(method in RDS[role])).map((method) => `${role}: ${method}`)
    expect(callsIn('src/lib/procedures/instance-settings/*.ts')).to.deep.equal(Object.keys(RDS.backup).toSorted())
    expect(callsIn('src/lib/procedures/pitr/wait.ts')).not.to.deep.equal([])
    expect([
      ...missing('cutover', callsIn('src/lib/procedures/pitr/{cutover,rollback,wait}*.ts')),
      ...missing('pitr', callsIn('src/lib/procedures/pitr/**/*.ts', /\/(cutover|rollback)[^/]*$/)),
    ]).to.deep.equal([])
    const writes = globSync('src/lib/procedures/{restore,verify,diff,partial,investigate,list}*{/**/*,}.ts', {cwd: root}).flatMap((name) => [...read(name).matchAll(/\bstorage\.(put|putFile|remove|abortUpload)\(/g)].map(([, method = '']) => `${name}: ${method}`))
    expect(writes, 'a restore changes nothing in a repository').to.deep.equal(['src/lib/procedures/verify/index.ts: put'])
  })

  it('allow what their commands need, and nothing else', async () => {
    const actions = await actionsOfStorage()
    for (const role of ROLES) {
      const needed = [...rdsActionsOf(role), ...STORAGE[role].flatMap((method) => actions.get(method) ?? [])]
      expect(allowedTo(role, false), role).to.deep.equal(unique(needed))
      expect(allowedTo(role, true), `${role}, dependent`).to.deep.equal(unique(DEPENDENT[role]))
    }
  }).timeout(30_000)

  it('have no wildcard for an action, nor for a resource where the action knows resources', () => {
    for (const role of ROLES) {
      for (const {Action, Resource, Sid} of statementsOf(role)) {
        expect(Action.filter((action) => !/^[a-z\d]+:[A-Za-z]+$/.test(action)), `${role} ${Sid}`).to.deep.equal([])
        if (Resource.includes('*')) expect(Action.filter((action) => !EVERYWHERE.includes(action)), `${role} ${Sid}`).to.deep.equal([])
        expect(Resource.filter((arn) => arn !== '*' && !/^arn:aws:(s3:::BUCKET|rds:REGION:ACCOUNT:[a-z-]+:|kms:REGION:ACCOUNT:key\/KEY$|iam::ACCOUNT:role\/ROLE$|secretsmanager:REGION:ACCOUNT:secret:rds!\*$)/.test(arn)), `${role} ${Sid}`).to.deep.equal([])
      }
    }
  })

  it('are explained, each with what to put in its places', () => {
    const page = read('docs/iam/README.md')
    const places = unique(ROLES.flatMap((role) => JSON.stringify(statementsOf(role)).match(/\b[A-Z]{3,}\b/g) ?? []))
    expect(places).to.deep.equal(['ACCOUNT', 'BUCKET', 'INSTANCE', 'KEY', 'PREFIX', 'REGION', 'ROLE'])
    for (const place of places) expect(page, place).to.match(new RegExp(String.raw`^\| \`${place}\` \|`, 'm'))
    for (const role of ROLES) expect(page, role).to.contain(`[${role}.json](${role}.json)`)
    for (const action of unique(ROLES.flatMap((role) => DEPENDENT[role]))) expect(page, action).to.contain(`\`${action}\``)
  })
})

const may = (role: Role, action: string, resource: string, context: Wish['context'] = {}) => isAllowed(readPolicy(role, POLICY_PLACES), {action, resource, context})
const arn = (id: string, type = 'db') => `arn:aws:rds:us-east-1:123456789012:${type}:${id}`
const object = (key: string) => `arn:aws:s3:::backups/team/dr/${key}`

describe('the policies of docs/iam, as IAM reads them', () => {
  it('let a recovery through as it is planned, and only under its mark', () => {
    const source = {DBInstanceIdentifier: 'crm', Engine: 'postgres', DBSubnetGroup: {DBSubnetGroupName: 'private'}, DBParameterGroups: [{DBParameterGroupName: 'crm17'}], OptionGroupMemberships: [{OptionGroupName: 'default:postgres-17', Status: 'in-sync'}], TagList: [{Key: 'team', Value: 'crm'}]}
    for (const purpose of ['primary', 'side'] as const) {
      const {request} = planRestore(source, {target: 'crm-copy', to: undefined, purpose, runId: '20261122T100000Z-pitr-ab12'})
      const tags = Object.fromEntries((request.Tags ?? []).map(({Key = '', Value = ''}) => [`aws:RequestTag/${Key}`, Value]))
      for (const resource of [arn('crm'), arn('crm-copy'), arn('crm17', 'pg'), arn('default:postgres-17', 'og'), arn('private', 'subgrp')]) expect(may('pitr', 'rds:RestoreDBInstanceToPointInTime', resource, tags), resource).to.equal(true)
      expect(may('pitr', 'rds:AddTagsToResource', arn('crm-copy'), tags)).to.equal(true)
      expect(may('pitr', 'rds:RestoreDBInstanceToPointInTime', arn('crm'), {'aws:RequestTag/team': 'crm'}), 'without a mark').to.equal(false)
      expect(may('pitr', 'rds:RestoreDBInstanceToPointInTime', arn('billing'), tags), 'another instance').to.equal(false)
    }
  })

  it('let the outcome of a proof be marked on a copy, and not on the live instance', () => {
    const tags = tagsOfProof({run: '20261122T100000Z-pitr-ab12', at: '2026-11-22T10:00:00.000Z', outcome: 'proven'})
    const context = {...Object.fromEntries(tags.map(({Key = '', Value = ''}) => [`aws:RequestTag/${Key}`, Value])), 'aws:TagKeys': tags.map(({Key = ''}) => Key)}
    expect(may('pitr', 'rds:AddTagsToResource', arn('crm-copy'), context)).to.equal(true)
    expect(may('pitr', 'rds:AddTagsToResource', arn('crm'), context)).to.equal(false)
  })

  it('let only side copies be deleted, and nobody make one of the live instance', () => {
    const marks = (purpose: string) => ({'aws:ResourceTag/dr:run-id': 'r', 'aws:ResourceTag/dr:purpose': purpose})
    const remove = (id: string, context: Wish['context']) => ROLES.filter((role) => may(role, 'rds:DeleteDBInstance', arn(id), context))
    expect(remove('crm-side', marks('side'))).to.deep.equal(['pitr'])
    for (const [id, context] of [['crm-side', {}], ['crm-side', marks('primary')], ['crm', marks('side')], ['billing', marks('side')], ['crm-old', {...marks('side'), 'aws:ResourceTag/dr:replaced': 'crm'}]] as const) expect(remove(id, context), id).to.deep.equal([])
    expect(may('pitr', 'rds:AddTagsToResource', arn('crm'), {'aws:RequestTag/dr:run-id': 'r'})).to.equal(false)
    expect(may('pitr', 'rds:AddTagsToResource', arn('crm-old'), {'aws:RequestTag/dr:run-id': 'r', 'aws:ResourceTag/dr:replaced': 'crm'})).to.equal(false)
  })

  it('keep the cut-over apart: who restores cannot change the live instance, and who switches can neither restore nor delete', () => {
    expect(may('pitr', 'rds:ModifyDBInstance', arn('crm'), {'aws:ResourceTag/dr:run-id': 'r'})).to.equal(false)
    expect(may('pitr', 'rds:ModifyDBInstance', arn('crm-copy'), {'aws:ResourceTag/dr:run-id': 'r'})).to.equal(true)
    expect(may('pitr', 'rds:ModifyDBInstance', arn('crm-copy')), 'not made by dr').to.equal(false)
    for (const id of ['crm', 'crm-copy']) expect(may('cutover', 'rds:ModifyDBInstance', arn(id)), id).to.equal(true)
    expect(may('cutover', 'rds:ModifyDBInstance', arn('billing'))).to.equal(false)
    expect(may('cutover', 'rds:AddTagsToResource', arn('crm'), {'aws:TagKeys': ['dr:replaced']})).to.equal(true)
    expect(may('cutover', 'rds:AddTagsToResource', arn('crm'), {'aws:TagKeys': ['dr:replaced', 'team']})).to.equal(false)
    expect(may('cutover', 'rds:CreateDBSnapshot', arn('crm-before-cutover-1', 'snapshot'), {'aws:RequestTag/dr:run-id': 'r'})).to.equal(true)
    expect(may('cutover', 'rds:DescribeEvents', '*')).to.equal(true)
  })

  it('let no role that writes backups read or remove their data', () => {
    const data = object('production/20261122T020000Z-7f3a/4010.dat.zst')
    const allowed = (action: string) => ROLES.filter((role) => may(role, action, data))
    expect(allowed('s3:GetObject')).to.deep.equal(['restore'])
    expect(allowed('s3:PutObject')).to.deep.equal(['backup'])
    expect(allowed('s3:DeleteObject')).to.deep.equal(['prune'])
    expect(ROLES.filter((role) => may(role, 's3:DeleteObject', 'arn:aws:s3:::backups/elsewhere/x'))).to.deep.equal([])
    expect(ROLES.filter((role) => may(role, 's3:ListBucket', 'arn:aws:s3:::backups', {'s3:prefix': 'elsewhere/'}))).to.deep.equal([])
  })
})
