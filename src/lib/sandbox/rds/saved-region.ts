import {existsSync} from 'node:fs'
import {readJson, writeJson} from '../s3/disk.ts'
import type {Instance, SavedInstance} from './instance.ts'
import type {Settings, Tag} from './settings.ts'

/** In the folder of the service. */
export const REGION_FILE = 'region.json'

/** What is kept of a region, as plain JSON: everything but the clusters. Times are milliseconds since 1970. */
export interface SavedRegion {
  version: 1
  instances: readonly SavedInstance[]
  /** Automated backups that outlived their instance. */
  retained: readonly {instance: SavedInstance; arn: string}[]
  snapshots: readonly (Omit<Snapshot, 'at'> & {at: number})[]
  /** Automated backups in another region. */
  replicas: readonly (Omit<Replica, 'instance'> & {instance: SavedInstance})[]
  proxies: readonly Proxy[]
  events: readonly (Omit<ServiceEvent, 'Date'> & {Date: number})[]
  /** By the names that instances have or had. */
  ports: Readonly<Record<string, number>>
  parameterGroups: Readonly<Record<string, Readonly<Record<string, string>>>>
  subnetGroups: readonly string[]
}

/** Automated backups that outlived their instance. */
export interface Retained {
  instance: Instance
  arn: string
}

/** Automated backups of an instance as another region has them: they stay when the instance and its own backups go. */
export interface Replica {
  instance: Instance
  arn: string
  /** Of the instance. */
  sourceRegion: string
}

/** RDS Proxy: an address of its own that leads to at most one instance. */
export interface Proxy {
  name: string
  /** Resource id of the instance, and since when it is the target in milliseconds since 1970. */
  target?: {resourceId: string; since: number} | undefined
}

export interface ServiceEvent {
  SourceIdentifier: string
  SourceType: 'db-instance'
  Message: string
  EventCategories: readonly string[]
  Date: Date
  SourceArn: string
}

export interface Snapshot {
  id: string
  source: string
  resourceId: string
  at: Date
  status: string
  type: 'manual'
  settings: Settings
  tags: readonly Tag[]
}

/** Among the names that have a port; no instance can have such a one. */
export const proxyAddress = (name: string): string => `proxy/${name}`

/** Undefined when nothing was kept yet. */
export const readRegion = (file: string): SavedRegion | undefined => (existsSync(file) ? (readJson(file) as SavedRegion) : undefined)

export const writeRegion = (file: string, region: SavedRegion): void => { writeJson(file, region) }
