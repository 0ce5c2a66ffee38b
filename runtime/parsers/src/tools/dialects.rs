//! The tags of the model families that [`TaggedArguments`](super::tagged_args::TaggedArguments) reads.

use super::sink::{After, Before};
use super::tagged_args::Dialect;
use super::tagged_values::{
    dots_argument, dsml_argument, gcml_argument, glm_argument, hunyuan_argument, mimo_argument,
    minicpm_argument, minimax_argument, poolside_argument, spark_argument, step3_argument,
};

/// Named attributes inside regions: the most common shape.
macro_rules! attributes {
    ($region:literal, $region_end:literal, $call:literal, $call_end:literal, $key:literal, $value_end:literal, $argument:ident) => {
        Dialect {
            text: &[$region],
            region: &[$call, $region_end],
            name: &["\">"],
            body: &[$key, $call_end, $region_end],
            key: &["\">"],
            gap: &[],
            value: &[$value_end],
            before: Before::Keep,
            behind: After::Keep,
            json_arguments: false,
            json_call: false,
            counts_calls: false,
            argument: $argument,
            after_call: &[$region_end, $call],
            cdata: false,
        }
    };
}

/// `<tool>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool>` without regions.
macro_rules! pairs {
    ($call:literal, $call_end:literal, $argument:ident) => {
        Dialect {
            text: &[$call],
            region: &[],
            name: &["\n", $call_end, "<arg_key>"],
            body: &["<arg_key>", $call_end],
            key: &["</arg_key>", $call_end],
            gap: &["<arg_value>", "<arg_key>", $call_end],
            value: &["</arg_value>", $call_end],
            before: Before::Keep,
            behind: After::Keep,
            json_arguments: false,
            json_call: false,
            counts_calls: false,
            argument: $argument,
            after_call: &[],
            cdata: false,
        }
    };
}

/// DeepSeek's markup; its tags differ between versions.
macro_rules! dsml {
    ($region:literal, $region_end:literal, $call:literal, $call_end:literal, $key:literal, $value_end:literal) => {
        Dialect {
            text: &[$region, $call],
            name: &["\">", "\"/>"],
            before: Before::Trim,
            behind: After::Drop,
            json_arguments: true,
            ..attributes!($region, $region_end, $call, $call_end, $key, $value_end, dsml_argument)
        }
    };
}

/// MiniMax M2.
pub(crate) static MINIMAX_M2: Dialect = attributes!(
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    "<invoke name=\"",
    "</invoke>",
    "<parameter name=\"",
    "</parameter>",
    minimax_argument
);

/// Step 3: two more tokens surround each call and carry no meaning.
pub(crate) static STEP3: Dialect = Dialect {
    after_call: &[
        "<｜tool_call_end｜>",
        "<｜tool_call_begin｜>",
        "<｜tool_calls_end｜>",
        "<steptml:invoke name=\"",
    ],
    ..attributes!(
        "<｜tool_calls_begin｜>",
        "<｜tool_calls_end｜>",
        "<steptml:invoke name=\"",
        "</steptml:invoke>",
        "<steptml:parameter name=\"",
        "</steptml:parameter>",
        step3_argument
    )
};

/// dots.
pub(crate) static DOTS: Dialect = Dialect {
    json_call: true,
    ..attributes!(
        "<dots_function_call>",
        "</dots_function_call>",
        "<invoke name=\"",
        "</invoke>",
        "<parameter name=\"",
        "</parameter>",
        dots_argument
    )
};

/// DeepSeek V3.2.
pub(crate) static DEEPSEEK_V32: Dialect = dsml!(
    "<｜DSML｜function_calls>",
    "</｜DSML｜function_calls>",
    "<｜DSML｜invoke name=\"",
    "</｜DSML｜invoke>",
    "<｜DSML｜parameter name=\"",
    "</｜DSML｜parameter>"
);

/// DeepSeek V4.
pub(crate) static DEEPSEEK_V4: Dialect = dsml!(
    "<｜DSML｜tool_calls>",
    "</｜DSML｜tool_calls>",
    "<｜DSML｜invoke name=\"",
    "</｜DSML｜invoke>",
    "<｜DSML｜parameter name=\"",
    "</｜DSML｜parameter>"
);

/// DeepSeek V4.1, whose tag names begin with a space.
pub(crate) static DEEPSEEK_V41: Dialect = dsml!(
    "<｜DSML｜ calls>",
    "</｜DSML｜ calls>",
    "<｜DSML｜ invoke name=\"",
    "</｜DSML｜ invoke>",
    "<｜DSML｜ parameter name=\"",
    "</｜DSML｜ parameter>"
);

/// GigaChat 3.5.
pub(crate) static GIGACHAT35: Dialect = Dialect {
    before: Before::Trim,
    behind: After::Drop,
    ..attributes!(
        "<｜GCML｜tool_calls>",
        "</｜GCML｜tool_calls>",
        "<｜GCML｜invoke name=\"",
        "</｜GCML｜invoke>",
        "<｜GCML｜parameter name=\"",
        "</｜GCML｜parameter>",
        gcml_argument
    )
};

/// MiMo: the tags of Qwen3-Coder, with HTML escapes in the values.
pub(crate) static MIMO: Dialect = Dialect {
    text: &["<tool_call>"],
    region: &["<function=", "</tool_call>"],
    name: &[">"],
    body: &["<parameter=", "</function>", "</tool_call>"],
    key: &[">"],
    gap: &[],
    value: &["</parameter>"],
    before: Before::Keep,
    behind: After::Drop,
    json_arguments: false,
    json_call: false,
    counts_calls: false,
    argument: mimo_argument,
    after_call: &["</tool_call>", "<function="],
    cdata: false,
};

/// Hunyuan.
pub(crate) static HUNYUAN: Dialect = Dialect {
    text: &["<tool_calls>"],
    region: &["<tool_call>", "</tool_calls>"],
    name: &["<tool_sep>", "</tool_call>", "<arg_key>"],
    body: &["<arg_key>", "</tool_call>", "</tool_calls>"],
    key: &["</arg_key>", "</tool_call>"],
    gap: &["<arg_value>", "<arg_key>", "</tool_call>"],
    value: &["</arg_value>", "</tool_call>"],
    before: Before::Trim,
    behind: After::Drop,
    json_arguments: false,
    json_call: false,
    counts_calls: false,
    argument: hunyuan_argument,
    after_call: &["</tool_calls>", "<tool_call>"],
    cdata: false,
};

/// GLM 4.7 and 5, without line breaks between the tags.
pub(crate) static GLM47: Dialect = pairs!("<tool_call>", "</tool_call>", glm_argument);

/// poolside's Laguna.
pub(crate) static POOLSIDE: Dialect = pairs!("<tool_call>", "</tool_call>", poolside_argument);

/// Spark 2.5.
pub(crate) static SPARK25: Dialect =
    Dialect { counts_calls: true, ..pairs!("<tool_call>", "</tool_call>", spark_argument) };

/// IQuest Q1.
pub(crate) static IQUEST_Q1: Dialect =
    Dialect { counts_calls: true, ..pairs!("<iquest_tool_call>", "</iquest_tool_call>", glm_argument) };

/// MiniCPM 5: XML without regions.
pub(crate) static MINICPM5: Dialect = Dialect {
    text: &["<function name=\""],
    region: &[],
    name: &["\">"],
    body: &["<param name=\"", "</function>"],
    key: &["\">"],
    gap: &[],
    value: &["</param>"],
    before: Before::Keep,
    behind: After::Drop,
    json_arguments: false,
    json_call: false,
    counts_calls: false,
    argument: minicpm_argument,
    after_call: &[],
    cdata: true,
};
