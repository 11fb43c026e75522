//! Lists of words for the shape of a message, in lower case.

/// A list of words.
pub(super) struct Words(&'static str);

impl Words {
    /// Whether `word` is in the list, regardless of case.
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.split(' ').any(|one| one.eq_ignore_ascii_case(word))
    }
}

/// Words that occur in error messages. After a word of [`SLOTS`], any other word is a name.
pub(super) static COMMON: Words = Words(
    "\
    a able abort aborted about above accept acceptable accepted access account acknowledged across \
    active actual add added address after again against agent alert all allocate allocated allocation \
    allow allowed already also although always am an and another answer answered any api are argument \
    arguments around array as ask asked assertion at attempt attempts attribute auth authenticated \
    authentication authorization authorized auto available away back backend bad balance be because \
    become been before beginning being below between beyond binary bind block blocked body boolean both \
    bound bounds break broke broken broker buffer busy but by bytes cache call called caller calls can \
    cancel canceled canceling cancelled cancelling cannot capacity certificate chain changed channel \
    character check checksum child circuit clean client clients clock close closed closing cluster co \
    code collection column command commit committed communication compare complete completed component \
    concurrent condition conditions config configuration configured conflict connect connected \
    connecting connection connections constraint consumer contain container contains content contents \
    context continue conversion convert converted copy corrupt corrupted could count crashed create \
    created creating credentials credit current currently data database date dead deadline deadlock \
    decimal declined decode decoded decoding default delay delete deleted delivered delivery denied \
    dependencies dependency destination detected device did different digest dimension directory \
    disabled disconnected disk does domain done down dropped due duplicate during each early elapsed \
    element else email empty enabled encode encoding encountered end ended endpoint enough entity entry \
    environment error errors established event ever every ex exactly exceed exceeded exceeds except \
    exception exchange exclusive execute executed executing execution exhausted exist exists exit exited \
    expect expected expiration expire expired explicit extension external fail failed failing fails \
    failure failures fatal fetch field fields file files filesystem finish finished first flag float \
    follower for forbidden foreign format found free from frozen full function funds further gateway \
    gave get given gone got granted group guard had half handle handler handshake hard has have header \
    headers health heartbeat held here high higher host hostname how however http id identifier idle if \
    ignored illegal implemented in inactive incompatible incomplete incorrect index information \
    initialized input insert inside instance instead insufficient integer integrity internal interrupted \
    into invalid io is issue it item items its itself job join json keep kept key keys kind known lacks \
    large larger last late later latest layer leader lease least leave left length less level limit line \
    list listen listening load loading local lock locked locks long longer lookup lost low lower main \
    maintenance malformed many mapping match matches matching maximum may meanwhile member memory \
    message messages metadata method mime minimum mismatch missing mode modified module more most move \
    moved much multi must name named names necessary negative network never new next no node non none \
    nor not nothing notification now null number numbers object of off offline offset old on once one \
    only open opened opening operation option or order other others out output outside over overflow \
    overloaded own owner packet page parameter parameters parent parse parsed parsing part partition \
    parts password path payload payment peer pending per perform performed permanent permission \
    permissions permitted pipe please point policy pool port position possible pre precision \
    precondition prepare prepared present previous primary privileges probe procedure process processed \
    processing produced producer product products prohibited properties property protocol provide \
    provided provider proxy publish published query queue quorum quota quote range rate re reach reached \
    read readable reader reading ready reason received receiving record records recursion redirect \
    reduce reference referenced refresh refused register registered reject rejected relation release \
    released remaining remote removed replica replicas replication reply request requested requests \
    require required requires reset resolution resolve resolved resource resources responded response \
    responses restart restarting result results retried retries retry retrying return returned returns \
    revoked right role rollback root route row rows run running runs runtime safe same schema scope \
    secret security segment self send sender sending sent sequence server servers service service's \
    session set settings several shard should shut shutdown side signal signature since single size slot \
    slow small so socket some soon source space specified stack stage stale start started startup state \
    statement statements status step still stock stopped storage store stored stream string sub subject \
    subscribe success successful such supply support supported suspended syntax system table target task \
    temporarily temporary tenant terminate terminated than that the their them then there these they \
    this thread threshold throttled through time timed timeout timeouts times to together token too \
    topic total trailing transaction transfer transient transport tried tries truncated trusted try \
    trying two type types unable unauthorized unavailable unconfirmed undefined under unexpected \
    unhealthy uninitialized unique unit unknown unlock unmatched unreachable unreadable unrecognized \
    unresponsive unsafe unsupported until up update updated upgrade upload upper url usage use used user \
    users using valid validate validation value values variable variant verification verified verify \
    version very via view violated violates violation volume wait waited waiting want wants was we were \
    what when where whether which while who why will with within without work worker working would \
    writable write writing written wrong yet you your zero",
);

/// Words that a name follows.
pub(super) static SLOTS: Words = Words(
    "\
    account address artist bank basket branch broker bucket buyer called campaign card carrier cart \
    client cluster container coupon courier customer database deployment device directory domain \
    downstream driver employee file flight group host hostname id image invoice job key label lease lock \
    machine member merchant named namespace node order owner package parcel partner patient peer person \
    player pod product project queue recipient region replica repository room route runner seller sender \
    server service session shard shipment shop site sku store student subscriber subscription supplier \
    task team tenant topic upstream user username vendor vhost warehouse webhook worker workspace zone",
);

/// Prepositions that a name follows, unless the next word is in [`COMMON`]. A verb may follow `to`.
pub(super) static PREPOSITIONS: Words = Words("by for from of to");

/// Words that a name of the program or its schema follows. The name is part of the cause.
pub(super) static SCHEMA: Words = Words(
    "\
    arg argument attribute class column command constraint extension field function header index method \
    module option parameter property relation setting table type",
);

/// Keys whose value is part of the cause.
pub(super) static KEYS: Words = Words(
    "\
    alert cause code errno error exception kind reason state status type",
);

/// Words that a code follows. The code is part of the cause.
pub(super) static CODES: Words = Words(
    "\
    alert code errno error exit http signal sqlstate status",
);

/// Words that an HTTP status may follow.
pub(super) static ANSWERS: Words = Words(
    "\
    answered got received responded response returned",
);

/// Words that may follow such a status. Before any other word the number is a quantity.
pub(super) static AFTER_STATUS: Words = Words(
    "\
    after and as at because but by for from in instead is not on to too was when while with",
);

/// First words of the reason phrases of HTTP statuses.
pub(super) static REASONS: Words = Words(
    "\
    bad conflict content expectation failed forbidden gateway gone http insufficient internal length \
    locked loop method misdirected network not payload payment precondition proxy range request service \
    too unauthorized unavailable unprocessable unsupported upgrade uri variant",
);

/// Units.
pub(super) static UNITS: Words = Words(
    "\
    b byte bytes d day days gb gib h hour hours kb kib m mb mib microseconds millis milliseconds min \
    mins minute minutes ms ns s sec second seconds secs tb tib us µs",
);

/// Technical terms with digits.
pub(super) static TECHNICAL: Words = Words(
    "\
    base64 f32 f64 grpc-web h2 h3 http/1.0 http/1.1 http/2 http/2.0 http/3 http1 http2 http3 i128 i16 \
    i32 i64 i8 int2 int4 int8 ipv4 ipv6 k8s md5 oauth2 p256 s3 sha-1 sha-256 sha-512 sha1 sha256 sha512 \
    sslv3 tls1.2 tls1.3 tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 u128 u16 u32 u64 u8 utf-16 utf-8 utf16 \
    utf8 x.509 x509",
);

/// Words after which a colon begins the cause, not a list of names.
pub(super) static NO_LISTS: Words = Words(
    "\
    causes details errors failures problems reasons results",
);
