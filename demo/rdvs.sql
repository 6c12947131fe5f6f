-- The origin of the demo's app rdvs: French public services give appointments (rdv) to their users.
-- It has what real origins have: enums, arrays, generated columns, partitions, indexes of every kind. No extension.

create type access_level as enum ('admin', 'basic', 'intervenant');
create type bookable_by as enum ('agents', 'agents_and_prescripteurs', 'everyone');
create type location_type as enum ('public_office', 'phone', 'home', 'visio');
create type rdv_status as enum ('unknown', 'seen', 'excused', 'revoked', 'noshow');
create type lieu_availability as enum ('enabled', 'disabled', 'single_use');
create type verticale as enum ('rdv_insertion', 'rdv_solidarites', 'rdv_aide_numerique', 'rdv_mairie');
create type user_created_through as enum ('agent_creation', 'user_sign_up', 'franceconnect_sign_up', 'prescripteur');
create type user_logement as enum ('sdf', 'heberge', 'proprietaire', 'locataire', 'autre');
create type user_family_situation as enum ('single', 'in_a_relationship', 'divorced');
create type receipts_channel as enum ('sms', 'email', 'webhook');
create type receipts_result as enum ('processed', 'sent', 'delivered', 'failure');

create table territories (
    id bigserial primary key,
    departement_number varchar not null default '',
    name varchar,
    phone_number varchar,
    sms_provider varchar collate "C",
    sms_configuration jsonb,
    enable_notes_field boolean not null default false,
    enable_logement_field boolean not null default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_territories_on_departement_number on territories (departement_number)
    where departement_number <> '';
comment on table territories is 'Un territoire : le plus souvent un département, avec sa "configuration"';
comment on column territories.sms_configuration is 'Clés d''accès au fournisseur d''envoi de SMS';

create table services (
    id bigserial primary key,
    name varchar not null,
    short_name varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_services_on_lower_name on services (lower(name));

create table territory_services (
    territory_id bigint not null references territories,
    service_id bigint not null references services,
    created_at timestamptz not null default now(),
    primary key (territory_id, service_id)
);

create table organisations (
    id bigserial primary key,
    territory_id bigint not null references territories,
    name varchar not null,
    departement varchar,
    horaires text,
    email varchar,
    phone_number varchar,
    website varchar,
    human_id varchar not null default '',
    external_id varchar,
    verticale verticale not null default 'rdv_solidarites',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_organisations_on_human_id_and_territory on organisations (human_id, territory_id)
    where human_id <> '';
create unique index index_organisations_on_name_and_territory on organisations (name, territory_id, id);

create table agents (
    id bigserial primary key,
    first_name varchar,
    last_name varchar,
    email varchar,
    uid varchar not null default '',
    provider varchar not null default 'email',
    encrypted_password varchar not null default '',
    reset_password_token varchar,
    tokens jsonb,
    microsoft_graph_token text,
    calendar_uid varchar,
    last_sign_in_at timestamp,
    display_saturdays boolean default false,
    notification_levels receipts_channel[] not null default '{}',
    invited_by_id bigint references agents,
    invitations_count integer default 0,
    deleted_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_agents_on_email on agents (email) where email is not null;
create unique index index_agents_on_uid_and_provider on agents (uid, provider);
create unique index index_agents_on_calendar_uid on agents (calendar_uid);
create index index_agents_on_full_name on agents (lower(last_name || ' ' || first_name) text_pattern_ops);
comment on table agents is 'Agents : les professionnels qui reçoivent les usagers';

create table agent_roles (
    id bigserial primary key,
    agent_id bigint not null references agents on delete cascade,
    organisation_id bigint not null references organisations,
    access_level access_level not null default 'basic',
    unique (organisation_id, agent_id)
);
create index index_agent_roles_on_admins on agent_roles (agent_id) where access_level = 'admin';

create table motif_categories (
    id bigserial primary key,
    name varchar not null,
    short_name varchar not null unique,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table motifs (
    id bigserial primary key,
    organisation_id bigint not null references organisations,
    service_id bigint not null references services,
    motif_category_id bigint references motif_categories,
    name varchar not null,
    color varchar(7) not null default '#000091',
    default_duration_in_min integer not null default 30,
    bookable_by bookable_by not null default 'agents',
    location_types location_type[] not null default '{public_office}',
    restriction_for_rdv text,
    collectif boolean default false,
    deleted_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    unique (organisation_id, id),
    check (default_duration_in_min > 0)
);
create index index_motifs_on_name on motifs (name, organisation_id) where deleted_at is null;
create index index_motifs_on_location_types on motifs using gin (location_types);

create table lieux (
    id bigserial primary key,
    organisation_id bigint not null references organisations,
    name varchar not null,
    address varchar not null,
    phone_number varchar,
    phone_number_formatted varchar,
    latitude double precision,
    longitude double precision,
    availability lieu_availability not null default 'enabled',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_lieux_on_availability on lieux (organisation_id) where availability <> 'disabled';

create table plage_ouvertures (
    id bigserial primary key,
    agent_id bigint not null references agents,
    organisation_id bigint not null references organisations,
    lieu_id bigint references lieux,
    title varchar,
    first_day date not null,
    start_time time not null,
    end_time time not null,
    validity daterange not null,
    recurrence jsonb,
    expired_cached boolean default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_plage_ouvertures_on_validity on plage_ouvertures using gist (validity);
create index index_plage_ouvertures_on_recurrence on plage_ouvertures (agent_id, first_day) where recurrence is not null;
comment on column plage_ouvertures.title is 'Titre libre, par ex. "Permanence de Mme Martin à l''annexe"';

create table motifs_plage_ouvertures (
    motif_id bigint not null references motifs,
    plage_ouverture_id bigint not null references plage_ouvertures,
    unique (motif_id, plage_ouverture_id)
);

create table absences (
    id bigserial primary key,
    agent_id bigint not null references agents,
    title varchar not null,
    first_day date not null,
    end_day date,
    start_time time not null,
    end_time time not null,
    recurrence jsonb,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_absences_on_first_day on absences (first_day desc nulls last, agent_id);

create table users (
    id bigserial primary key,
    first_name varchar not null,
    last_name varchar not null,
    birth_name varchar,
    birth_date date,
    email varchar,
    phone_number varchar,
    phone_number_formatted varchar,
    address varchar,
    address_details varchar,
    post_code varchar(5),
    city_name varchar,
    caisse_affiliation varchar,
    affiliation_number varchar,
    family_situation user_family_situation,
    number_of_children integer,
    logement user_logement,
    quotient_familial numeric(8, 2),
    case_number varchar,
    notes text,
    ants_pre_demande_number varchar(10),
    franceconnect_openid_sub varchar,
    encrypted_password varchar not null default '',
    rdv_invitation_token varchar,
    responsible_id bigint references users,
    created_through user_created_through not null default 'agent_creation',
    notify_by_sms boolean not null default true,
    notify_by_email boolean not null default true,
    invitations_count integer default 0,
    text_search_terms tsvector generated always as (
        setweight(to_tsvector('simple'::regconfig, lower(last_name)), 'A')
        || setweight(to_tsvector('simple'::regconfig, lower(first_name)), 'B')
    ) stored,
    deleted_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create unique index index_users_on_email on users (email) where email is not null and deleted_at is null;
create unique index index_users_on_rdv_invitation_token on users (rdv_invitation_token);
create index index_users_on_lower_names on users (lower(first_name), lower(last_name), birth_date);
create index index_users_on_phone_number_formatted on users (phone_number_formatted);
create index index_users_on_text_search_terms on users using gin (text_search_terms);
create index index_users_on_created_through on users (created_at) where created_through = 'franceconnect_sign_up';
create index index_users_on_responsible_id on users (responsible_id) where responsible_id is not null;
comment on table users is 'Usagers : l''identité, les coordonnées et les "notes" des agents';
comment on column users.responsible_id is 'L''usager responsable d''un proche : un parent, un tuteur';
comment on column users.notes is 'Notes libres de l''agent ; ne "jamais" y écrire de données de santé';

create table user_profiles (
    organisation_id bigint not null references organisations,
    user_id bigint not null references users,
    primary key (organisation_id, user_id)
);

create table rdvs (
    id bigserial primary key,
    uuid uuid not null default gen_random_uuid(),
    organisation_id bigint not null references organisations,
    motif_id bigint not null,
    lieu_id bigint references lieux,
    starts_at timestamp not null,
    ends_at timestamp not null,
    duration_in_min integer generated always as ((extract(epoch from ends_at - starts_at) / 60)::integer) stored,
    status rdv_status not null default 'unknown',
    context text,
    name varchar,
    max_participants_count integer,
    users_count integer default 0,
    created_by_type varchar not null default 'Agent',
    created_by_id bigint,
    cancelled_at timestamp,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    foreign key (organisation_id, motif_id) references motifs (organisation_id, id),
    check (ends_at > starts_at)
);
create unique index index_rdvs_on_uuid on rdvs (uuid);
create index index_rdvs_on_starts_at on rdvs (starts_at) include (organisation_id);
create index index_rdvs_on_organisation_id_and_motif_id on rdvs (organisation_id, motif_id);
create index index_rdvs_on_status on rdvs (organisation_id, starts_at) where status in ('unknown', 'seen');
create index index_rdvs_on_month on rdvs (date_trunc('month', starts_at), status);
create index index_rdvs_on_created_at on rdvs using brin (created_at);
comment on column rdvs.context is 'Contexte du rendez-vous, saisi par l''agent';

create table agents_rdvs (
    agent_id bigint not null references agents,
    rdv_id bigint not null references rdvs,
    outlook_id text,
    outlook_create_in_progress boolean not null default false,
    primary key (agent_id, rdv_id)
);

create table participations (
    id bigserial primary key,
    rdv_id bigint not null references rdvs,
    organisation_id bigint not null,
    user_id bigint not null references users,
    status rdv_status not null default 'unknown',
    invitation_token varchar unique,
    send_lifecycle_notifications boolean not null default true,
    created_by_agent_prescripteur boolean not null default false,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    unique (user_id, rdv_id),
    foreign key (organisation_id, user_id) references user_profiles (organisation_id, user_id)
);
create index index_participations_on_noshow on participations (user_id) where status = 'noshow'::rdv_status;

create table prescripteurs (
    id bigserial primary key,
    participation_id bigint not null unique references participations,
    first_name varchar not null,
    last_name varchar not null,
    email varchar not null,
    phone_number varchar,
    phone_number_formatted varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_prescripteurs_on_email on prescripteurs using hash (email);

create table receipts (
    id bigserial primary key,
    rdv_id bigint references rdvs on delete set null,
    user_id bigint references users,
    channel receipts_channel not null,
    result receipts_result not null,
    event varchar not null,
    sms_provider varchar,
    sms_count integer,
    sms_phone_number varchar,
    email_address varchar,
    content text,
    error_message varchar,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index index_receipts_on_rdv_id on receipts (rdv_id);
create index index_receipts_on_failures on receipts (created_at, channel) where result = 'failure';

create table file_attentes (
    id bigserial primary key,
    rdv_id bigint not null unique references rdvs,
    user_id bigint references users,
    notifications_sent integer default 0,
    last_creneau_sent_at timestamp,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table webhook_endpoints (
    id bigserial primary key,
    organisation_id bigint not null references organisations,
    target_url varchar not null,
    secret varchar,
    subscriptions varchar[] default '{rdv,absence,plage_ouverture}',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    unique (organisation_id, target_url)
);
create index index_webhook_endpoints_on_subscriptions on webhook_endpoints using gin (subscriptions);

create table api_calls (
    id bigserial,
    received_at timestamptz not null,
    agent_id bigint not null references agents,
    controller_name varchar not null,
    action_name varchar not null,
    remote_ip inet not null,
    raw_http jsonb not null,
    primary key (id, received_at)
) partition by range (received_at);
create table api_calls_2023 partition of api_calls for values from ('2023-01-01Z') to ('2024-01-01Z');
create table api_calls_2024 partition of api_calls for values from ('2024-01-01Z') to ('2025-01-01Z');
create table api_calls_later partition of api_calls default;
create index index_api_calls_on_received_at on api_calls (received_at);
create index index_api_calls_on_raw_http on api_calls using gin (raw_http jsonb_path_ops);
comment on table api_calls is 'Journal des appels à l''API, une partition par an';

create table exports (
    id uuid primary key default gen_random_uuid(),
    agent_id bigint not null references agents,
    export_type varchar not null,
    file_name varchar not null,
    organisation_ids integer[] not null default '{}',
    options jsonb not null default '{}',
    computed_at timestamp(6),
    expires_at timestamp(6) not null,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_exports_on_organisation_ids on exports using gin (organisation_ids);

create table versions (
    id bigserial primary key,
    item_type varchar not null,
    item_id bigint not null,
    event varchar not null,
    whodunnit varchar,
    object_changes jsonb,
    created_at timestamp(6)
);
create index index_versions_on_item on versions (item_type, item_id);
comment on table versions is 'Qui a modifié quoi : les "anciennes" valeurs, donc l''identité des usagers';

create table good_jobs (
    id uuid primary key default gen_random_uuid(),
    queue_name text,
    serialized_params jsonb,
    finished_at timestamp(6),
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create table schema_migrations (
    version varchar primary key
);

create table ar_internal_metadata (
    key varchar primary key,
    value varchar,
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);

create view upcoming_rdvs as
select rdvs.id, rdvs.starts_at, users.first_name, users.last_name
from rdvs
join participations on participations.rdv_id = rdvs.id
join users on users.id = participations.user_id
where rdvs.status = 'unknown';
