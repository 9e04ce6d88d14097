//! Functions of sprig that the vectors of Go's answers do not have.

use super::super::tests::render;

#[test]
fn sprig_beyond_the_vectors() {
    for (template, expected) in [
        (
            "{{initials \"First Try\"}} {{swapcase \"aB c\"}}",
            "FT Ab C",
        ),
        (
            "{{$p := splitn \"$\" 2 \"a$b$c\"}}{{$p._0}} {{$p._1}}",
            "a b$c",
        ),
        ("{{wrap 5 \"aaa bbb ccccccc d\"}}", "aaa\nbbb\nccccccc\nd"),
        ("{{wrapWith 3 \"|\" \"aaaa b\"}}", "aaa|a b"),
        (
            "{{dir \"/a/b/../c\"}} {{clean \"a//./b/..\"}} {{isAbs \"/a\"}}",
            "/a a true",
        ),
        (
            "{{addf 1.5 2}} {{subf 3 1}} {{divf 1 4}} {{floor 1.7}} {{ceil 1.2}}",
            "3.5 2 0.25 1 2",
        ),
        (
            "{{round 123.5555 3}} {{round 2.4 0}} {{maxf 1 2.5}}",
            "123.556 2 2.5",
        ),
        (
            "{{seq 3}}|{{seq 0 2 5}}|{{seq 2 -1}}|{{seq 1 0 2}}",
            "1 2 3|0 2 4|2 1 0 -1|",
        ),
        (
            "{{pick (dict \"a\" 1 \"b\" 2) \"a\"}} {{omit (dict \"a\" 1 \"b\" 2) \"a\"}}",
            "map[a:1] map[b:2]",
        ),
        (
            "{{pluck \"a\" (dict \"a\" 1) (dict \"b\" 2) (dict \"a\" 3)}}",
            "[1 3]",
        ),
        (
            "{{merge (dict \"a\" 1 \"m\" (dict \"x\" 1)) (dict \"a\" 2 \"b\" 3 \"m\" (dict \"y\" 2))}}",
            "map[a:1 b:3 m:map[x:1 y:2]]",
        ),
        (
            "{{mergeOverwrite (dict \"a\" 1) (dict \"a\" 2)}}",
            "map[a:2]",
        ),
        (
            "{{dig \"a\" \"b\" \"none\" (dict \"a\" (dict \"b\" 7))}} {{dig \"x\" \"none\" (dict)}}",
            "7 none",
        ),
        (
            "{{kindOf 1}} {{kindOf .L}} {{kindIs \"map\" .M}} {{deepEqual .L .L}}",
            "int slice true true",
        ),
        (
            "{{all 1 2}} {{any 0 \"\"}} {{chunk 2 (list 1 2 3)}}",
            "true false [[1 2] [3]]",
        ),
        (
            "{{semverCompare \"^1.2\" \"1.3.0\"}} {{semverCompare \">2\" \"1.0.0\"}}",
            "true false",
        ),
        (
            "{{regexFindAll \"[0-9]\" \"a1b2c3\" 2}} {{regexSplit \"[0-9]\" \"a1b2c\" -1}}",
            "[1 2] [a b c]",
        ),
        (
            "{{regexReplaceAllLiteral \"b\" \"abc\" \"$1\"}} {{regexQuoteMeta \"1.0\"}}",
            "a$1c 1\\.0",
        ),
        (
            "{{sha1sum \"a\"}}",
            "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
        ),
        (
            "{{adler32sum \"abc\"}} {{(fromJson \"{\\\"a\\\": [1]}\").a}}",
            "38600999 [1]",
        ),
        (
            "{{mustFirst (list 1 2)}} {{mustRegexMatch \"a\" \"a\"}}",
            "1 true",
        ),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
    assert!(render("{{mustfirst (list 1)}}").is_err());
    assert!(render("{{mustUpper \"a\"}}").is_err());
}

/// The names of `HermeticTxtFuncMap` in sprig 3.3.0, those that Flux gives to templates.
const HERMETIC: &str = "\
    abbrev abbrevboth add add1 add1f addf adler32sum ago all any append atoi b32dec b32enc \
    b64dec b64enc base bcrypt biggest buildCustomCert camelcase cat ceil chunk clean coalesce \
    compact concat contains decryptAES deepCopy deepEqual default derivePassword dict dig dir \
    div divf duration durationRound empty encryptAES ext fail first float64 floor fromJson \
    genCA genCAWithKey genPrivateKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert \
    genSignedCertWithKey get has hasKey hasPrefix hasSuffix hello htpasswd indent initial \
    initials int int64 isAbs join kebabcase keys kindIs kindOf last list lower max maxf merge \
    mergeOverwrite min minf mod mul mulf mustAppend mustChunk mustCompact mustDateModify \
    mustDeepCopy mustFirst mustFromJson mustHas mustInitial mustLast mustMerge \
    mustMergeOverwrite mustPrepend mustPush mustRegexFind mustRegexFindAll mustRegexMatch \
    mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit mustRest mustReverse \
    mustSlice mustToDate mustToJson mustToPrettyJson mustToRawJson mustUniq mustWithout \
    must_date_modify nindent nospace omit osBase osClean osDir osExt osIsAbs pick pluck plural \
    prepend push quote randInt regexFind regexFindAll regexMatch regexQuoteMeta \
    regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round semver \
    semverCompare seq set sha1sum sha256sum sha512sum shuffle slice snakecase sortAlpha split \
    splitList splitn squote sub subf substr swapcase ternary title toDate toDecimal toJson \
    toPrettyJson toRawJson toString toStrings trim trimAll trimPrefix trimSuffix trimall trunc \
    tuple typeIs typeIsLike typeOf uniq unixEpoch unset until untilStep untitle upper urlJoin \
    urlParse values without wrap wrapWith";

#[test]
fn every_function_is_there_or_left_out_for_a_reason() {
    for name in HERMETIC.split_whitespace() {
        let left_out = super::LEFT_OUT
            .iter()
            .any(|(_, names)| names.contains(&name));
        assert_eq!(super::find(name).is_ok(), !left_out, "{name}");
    }
    let error = render("{{shuffle .S}}").unwrap_err().to_string();
    assert!(
        error.starts_with("line 1: function \"shuffle\" not defined: a message"),
        "{error}"
    );
}
