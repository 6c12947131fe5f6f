"""What the sheet for the register of processing says, in French and in English; `{}` is where a name or a rule stands."""

from typing import Literal, NamedTuple, get_args

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Text(NamedTuple):
    """One text in each language."""

    fr: str
    en: str


TEXTS = {
    "title": Text("Registre des traitements : base d'analyse", "Register of processing: analytics database"),
    "made": Text("Établi le {}.", "Made on {}."),
    "purpose of the sheet": Text(
        "Annexe au registre des activités de traitement (RGPD, article 30) : ce que les règles de chaque produit publient "
        "dans la base d'analyse. Elle ne contient que des noms et des règles, aucune donnée. Ce que l'outil ne peut pas "
        "savoir est à compléter.",
        "Annex to the records of processing activities (GDPR, article 30): what the rules of each app publish in the "
        "analytics database. It holds names and rules only, no data. What the tool can't know is to be filled in.",
    ),
    # the rubrics of an app, each with what is generic of it
    "processing": Text("Traitement", "Processing"),
    "the processing": Text(
        "publication des données du produit {} dans la base d'analyse",
        "publishing the data of app {} in the analytics database",
    ),
    "controller": Text("Responsable du traitement", "Controller"),
    "officer": Text("Délégué à la protection des données", "Data protection officer"),
    "purpose": Text("Finalité", "Purpose"),
    "the purpose": Text(
        "statistiques et pilotage, à partir de données masquées ; à compléter",
        "statistics and steering, from masked data; to be filled in",
    ),
    "legal basis": Text("Base légale", "Legal basis"),
    "people": Text("Catégories de personnes concernées", "Categories of data subjects"),
    "data": Text("Catégories de données", "Categories of data"),
    "the data": Text(
        "les tables et colonnes ci-dessous ; données sensibles (RGPD, article 9) : à compléter",
        "the tables and columns below; special categories (GDPR, article 9): to be filled in",
    ),
    "processors": Text(
        "Sous-traitants (hébergeurs de la base d'analyse, des exécutions, de Metabase)",
        "Processors (hosts of the analytics database, of the runs, of Metabase)",
    ),
    "transfers": Text("Transferts hors de l'Union européenne", "Transfers outside the European Union"),
    "to fill in": Text("à compléter", "to be filled in"),
    "source": Text("Source", "Source"),
    "the source": Text("base d'origine du produit, schéma {}", "the app's production database (origin), schema {}"),
    "destination": Text("Destination", "Destination"),
    "the destination": Text("schéma {} de la base d'analyse", "schema {} of the analytics database"),
    "recipients": Text("Destinataires", "Recipients"),
    "this schema only": Text("{} (ce schéma seul)", "{} (this schema only)"),
    "unknown reader": Text(
        "rôle lecteur inconnu : la variable METABASE_USERNAME n'est pas donnée",
        "reader unknown: METABASE_USERNAME is not given",
    ),
    "unknown schema readers": Text(
        "rôles lecteurs de ce schéma seul inconnus : une variable de prefect.yaml n'est pas donnée",
        "readers of this schema only unknown: a variable of prefect.yaml is not given",
    ),
    "retention": Text("Durée de conservation", "Retention"),
    "the retention": Text(
        "chaque exécution remplace ou met à jour ce qui est publié ; à compléter pour l'arrêt du traitement",
        "each run replaces or updates what is published; to be filled in for the end of the processing",
    ),
    "security": Text("Mesures de sécurité", "Security measures"),
    "security of stream": Text(
        "les colonnes sont masquées dans la base d'origine, avant toute copie ; chaque exécution vérifie, avant de "
        "publier, les valeurs masquées et les droits de lecture",
        "columns are masked in the origin, before anything is copied; each run verifies the masked values and "
        "the rights to read before it publishes",
    ),
    "security of dump": Text(
        "mode dump : des données brutes passent par le disque de l'ETL et par le schéma public de la base d'analyse, que le "
        "lecteur ne voit pas, et y sont masquées puis effacées ; chaque exécution vérifie, avant de publier, les valeurs "
        "masquées et les droits de lecture",
        "mode dump: raw data passes through the ETL's disk and through schema public of the analytics database, which the "
        "reader can't see, where it is masked, then deleted; each run verifies the masked values and the rights to read "
        "before it publishes",
    ),
    "scan changed": Text(
        " ; elle cherche des données personnelles dans ce qui est nouvellement publié tel quel",
        "; it looks for personal data in what is newly published as it is",
    ),
    "scan full": Text(
        " ; elle cherche des données personnelles dans toutes les colonnes publiées telles quelles",
        "; it looks for personal data in all columns that are published as they are",
    ),
    "scan off": Text(
        " ; elle ne cherche pas de données personnelles dans les colonnes publiées telles quelles",
        "; it does not look for personal data in the columns that are published as they are",
    ),
    "host": Text("Hébergement des exécutions", "Where it runs"),
    "unknown app": Text("à compléter : prefect.yaml n'a pas ce produit", "to be filled in: prefect.yaml lacks this app"),
    "schedule": Text("Planification", "Schedule"),
    "no schedule": Text("aucune", "none"),
    "last run": Text("Dernière exécution", "Last run"),
    "the last run": Text("{} UTC : {} lignes publiées", "{} UTC: {} rows published"),
    "the schema is gone": Text(" (le schéma n'existe plus)", " (the schema is gone)"),
    "no target": Text("inconnue : aucune base cible (ETL_DB_URL)", "unknown: no target database (ETL_DB_URL)"),
    "no run": Text("aucune n'est enregistrée dans la base cible", "none is recorded in the target database"),
    "rules": Text("Règles", "Rules"),
    # what is published
    "published": Text("Ce qui est publié", "What is published"),
    "counts": Text(
        "Tables : {} (sans aucune ligne : {}). Colonnes : {} (anonymisées entièrement : {}, en partie : {}, "
        "pseudonymisées : {}, publiées telles quelles : {}, clés publiées telles quelles : {}, non publiées : {}).",
        "Tables: {} (without rows: {}). Columns: {} (anonymized wholly: {}, in part: {}, pseudonymized: {}, "
        "published as they are: {}, keys published as they are: {}, not published: {}).",
    ),
    "what stays": Text(
        "Une colonne anonymisée entièrement ne dit plus qu'une chose : si elle était vide.",
        "A column that is anonymized wholly only shows whether it was empty.",
    ),
    "keys lead back": Text(
        "Les clés publiées telles quelles ramènent qui peut lire la base d'origine à la ligne dont elles viennent : ce qui "
        "est publié n'est pas anonyme pour autant.",
        "Keys that are published as they are lead whoever may read the origin back to the row that they come from: what is "
        "published is not anonymous by masks alone.",
    ),
    "no origin": Text(
        "Établi à partir des règles seules, sans la base d'origine : les clés que les règles ne nomment pas, publiées "
        "telles quelles, manquent ici, de même que les types.",
        "Made from the rules alone, without the origin: keys that the rules don't list, which are published as they are, "
        "are missing here, and so are types.",
    ),
    "without rows": Text("Tables publiées sans aucune ligne : {}.", "Tables published without rows: {}."),
    "only keys": Text(
        "Les règles ne nomment aucune colonne : toutes sont des clés, publiées telles quelles.",
        "The rules list no column: all are keys, published as they are.",
    ),
    "pseudonyms": Text(
        "Un pseudonyme n'est pas une anonymisation : tant que la clé existe, la colonne reste une donnée à caractère "
        "personnel (RGPD, article 4, 5).",
        "A pseudonym is no anonymization: as long as the key exists, the column remains personal data (GDPR, article 4(5)).",
    ),
    "app": Text("produit", "app"),
    "schema": Text("schéma", "schema"),
    "table": Text("table", "table"),
    "column": Text("colonne", "column"),
    "type": Text("type", "type"),
    "treatment": Text("traitement", "treatment"),
    "detail": Text("précision", "detail"),
    "reason": Text("motif", "reason"),
    "treated anonymized": Text("anonymisée entièrement", "anonymized wholly"),
    "treated partly": Text("anonymisée en partie", "anonymized in part"),
    "treated pseudonymized": Text("pseudonymisée", "pseudonymized"),
    "treated clear": Text("publiée telle quelle", "published as it is"),
    "treated key": Text("clé, publiée telle quelle", "key, published as it is"),
    "treated left out": Text(
        "non publiée : calculée à partir de colonnes anonymisées", "not published: computed from anonymized columns"
    ),
    "treated truncated": Text("table publiée sans aucune ligne", "table published without rows"),
    "treated only keys": Text(
        "toutes ses colonnes sont des clés, publiées telles quelles", "all its columns are keys, as they are"
    ),
    "no reason": Text("aucun motif n'est donné", "no reason is given"),
    "combination of": Text("{} : {}", "{}: {}"),
    "combination refuse": Text("combinaisons rares refusées : moins de {}", "rare combinations refused: fewer than {}"),
    "combination warn": Text("combinaisons rares signalées : moins de {}", "rare combinations warned of: fewer than {}"),
    "of rows": Text("{} lignes", "{} rows"),
    "of different": Text("{} {} différents", "{} different {}"),
    # the masks, a text for each kind; what a word of the rules is in the language, for those that have words
    "mask period": Text("seul le début de la période reste ({})", "only the start of the period stays ({})"),
    "mask department": Text("seul le département du code reste", "only the department of the code stays"),
    "mask bands": Text(
        "seule la borne inférieure de la tranche reste (bornes ou largeur : {})",
        "only the lower bound of the band stays (bounds or width: {})",
    ),
    "mask round": Text("arrondie (décimales : {})", "rounded (decimals: {})"),
    "mask network": Text("seul le réseau de l'adresse IP reste", "only the network of the IP address stays"),
    "mask domain": Text(
        "seul le domaine de l'adresse électronique reste, s'il est courant ou de la liste (liste : {})",
        "only the domain of the e-mail address stays, if it is common or on the list (list: {})",
    ),
    "mask values": Text("seules ces valeurs restent : {}", "only these values stay: {}"),
    "mask keys": Text("seules ces clés du document restent : {}", "only these keys of the document stay: {}"),
    "mask pseudonym": Text(
        "un pseudonyme, le même dans tous les produits (domaine {})",
        "a pseudonym, the same in all apps (domain {})",
    ),
    "mask of some rows": Text("anonymisée entièrement", "anonymized wholly"),
    "only when": Text("dans les seules lignes où {} vaut {} ou est vide", "only in the rows where {} is {} or empty"),
    "nothing listed": Text("vide", "empty"),
    "word year": Text("année", "year"),
    "word quarter": Text("trimestre", "quarter"),
    "word month": Text("mois", "month"),
    "word week": Text("semaine", "week"),
    "word day": Text("jour", "day"),
}


def text(name: str, language: Language, *parts: object) -> str:
    """Return a text in a language, with its parts in their places."""
    said: str = getattr(TEXTS[name], language)
    return said.format(*parts)
