import {group, tag} from '../s3/xml.ts'

export type Value = string | number | boolean | Date | undefined | readonly Value[] | {readonly [name: string]: Value}

const NAMESPACE = 'http://rds.amazonaws.com/doc/2014-10-31/'

/** What the elements of each list are called. A list that is not here is a fault of ours. */
const MEMBERS: Readonly<Record<string, string>> = {
  DBInstanceAutomatedBackupsReplications: 'DBInstanceAutomatedBackupsReplication', DBProxies: 'member', DBProxyTargets: 'member', LogTypesToDisable: 'member', LogTypesToEnable: 'member', Targets: 'member',
  AssociatedRoles: 'DBInstanceRole', DBInstanceAutomatedBackups: 'DBInstanceAutomatedBackup', DBInstances: 'DBInstance', DBParameterGroups: 'DBParameterGroup', DBSnapshots: 'DBSnapshot',
  DBSubnetGroups: 'DBSubnetGroup', DescribeDBLogFiles: 'DescribeDBLogFilesDetails', DomainMemberships: 'DomainMembership', EnabledCloudwatchLogsExports: 'member', EventCategories: 'EventCategory',
  Events: 'Event', OptionGroupMemberships: 'OptionGroupMembership', Parameters: 'Parameter', ReadReplicaDBInstanceIdentifiers: 'ReadReplicaDBInstanceIdentifier', Subnets: 'Subnet', TagList: 'Tag',
  VpcSecurityGroups: 'VpcSecurityGroupMembership',
}

export const resultDocument = (action: string, result: {readonly [name: string]: Value} | undefined, requestId: string): string =>
  `<${action}Response xmlns="${NAMESPACE}">${result === undefined ? '' : group(`${action}Result`, children(result))}${group('ResponseMetadata', tag('RequestId', requestId))}</${action}Response>`

export const errorDocument = ({code, message, status}: {code: string; message: string; status: number}, requestId: string): string =>
  `<ErrorResponse xmlns="${NAMESPACE}">${group('Error', tag('Type', status < 500 ? 'Sender' : 'Receiver'), tag('Code', code), tag('Message', message))}${tag('RequestId', requestId)}</ErrorResponse>`

const children = (value: {readonly [name: string]: Value}): string => Object.entries(value).map(([name, one]) => element(name, one)).join('')

function element(name: string, value: Value): string {
  if (value === undefined) return ''
  if (value instanceof Date) return tag(name, value.toISOString())
  if (typeof value !== 'object') return tag(name, value)
  if (!isList(value)) return group(name, children(value))
  const member = MEMBERS[name]
  if (member === undefined) throw new Error(`${name} has no name for its elements.`)
  return group(name, ...value.map((one) => element(member, one)))
}

const isList = (value: object): value is readonly Value[] => Array.isArray(value)
