using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

/// <summary>What is learnt of every format: texts in brackets are read only.</summary>
public sealed class SftDataTests : IDisposable
{
    private const string NoTemplateEnd = "{% for message in messages %}{{ message.role }}: {% generation %}{{ message.content }}{% endgeneration %}\n{% endfor %}";
    private const string Unmarked = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    private readonly LanguageFixtures _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Of_a_conversation_the_assistant_and_its_end_are_learnt() => Assert.Equal(
        "[<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n]A friend.<|im_end|>[\n]",
        Learnt("""{"messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A friend."}]}"""));

    [Fact]
    public void A_template_without_marks_learns_the_same() => Assert.Equal(
        "[<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n]Me.<|im_end|>\n",
        Learnt("""{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]}""", new() { ChatTemplate = Unmarked }));

    [Fact]
    public void A_message_of_weight_0_is_not_learnt_and_a_share_counts_as_one()
    {
        var rows = Rows("""
            {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "no", "weight": 0}, {"role": "user", "content": "B"}, {"role": "assistant", "content": "yes", "weight": 0.5}]}
            """);

        Assert.EndsWith("<|im_start|>assistant\n]yes<|im_end|>[\n]", LanguageFixtures.Show(rows[0]), StringComparison.Ordinal);
        Assert.DoesNotContain("]no", LanguageFixtures.Show(rows[0]), StringComparison.Ordinal);
        Assert.Equal([0f, 0.5f], rows[0].Weights.Distinct());
    }

    [Fact]
    public void ShareGpt_and_parts_of_text_are_conversations_too()
    {
        const string Expected = "[<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n]Hello<|im_end|>[\n]";

        Assert.Equal(Expected, Learnt("""{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}"""));
        Assert.Equal(Expected, Learnt("""{"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, {"role": "assistant", "content": "Hello"}]}"""));
    }

    [Fact]
    public void Of_prompt_and_completion_the_completion_and_the_end_of_sequence_are_learnt()
    {
        Assert.Equal("[Q: 2+2?\nA:] 4<|endoftext|>", Learnt("""{"prompt": "Q: 2+2?\nA:", "completion": " 4"}"""));
        Assert.Equal("Q: 2+2?\nA: 4<|endoftext|>", Learnt("""{"prompt": "Q: 2+2?\nA:", "completion": " 4"}""", new() { CompletionOnlyLoss = false }));
        Assert.Equal("[😀 a\n]ß 😀\n<|endoftext|>", Learnt("""{"prompt": "😀 a\n", "completion": "ß 😀\n"}"""));
    }

    [Fact]
    public void Of_messages_as_prompt_only_the_completions_turns_are_learnt()
    {
        const string Row = """{"prompt": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}], "completion": [{"role": "assistant", "content": "D"}]}""";

        Assert.EndsWith("B<|im_end|>\n<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n]D<|im_end|>[\n]", Learnt(Row), StringComparison.Ordinal);
        Assert.Contains("]B<|im_end|>[", Learnt(Row, new() { CompletionOnlyLoss = false }), StringComparison.Ordinal);
        Assert.DoesNotContain('[', Learnt(Row, new() { CompletionOnlyLoss = false, AssistantOnlyLoss = false }));
    }

    [Fact]
    public void An_instruction_becomes_a_message_or_speaks_Alpacas_words()
    {
        const string Row = """{"instruction": "Translate.", "input": "ja", "output": "yes"}""";

        Assert.Equal("[<|im_start|>user\nTranslate.\n\nja<|im_end|>\n<|im_start|>assistant\n]yes<|im_end|>[\n]", Learnt(Row));
        Assert.EndsWith("### Instruction:\nTranslate.\n\n### Input:\nja\n\n### Response:\n]yes<|endoftext|>", Learnt(Row, tokenizer: WithoutTemplate()), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_row_is_accounted_for()
    {
        var (rows, ledger) = Load(
            new(),
            24,
            """{"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]}""",
            """{"messages": [{"role": "user", "content": "A"}]}""",
            """{"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B", "weight": 0}]}""",
            """{"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "To be, or not to be, that is the question."}]}""");

        Assert.Single(rows);
        Assert.Equal((4L, 1L), (ledger.Rows, ledger.Used));
        Assert.Equal(
            [("longer than 24 tokens", 4L), ("nothing in it is to be learnt", 3L), ("the assistant has not the last word", 2L)],
            ledger.Dropped.Select(dropped => (dropped.Key, dropped.Value.FirstLines.Single())));
    }

    [Fact]
    public void Longer_rows_are_cut_dropped_or_refused()
    {
        string[] rows =
        [
            """{"prompt": "To be, or not", "completion": " to be, that is the question: whether it is nobler"}""",
            """{"prompt": "To be, or not to be, that is the question: whether it is nobler in the mind", "completion": " to suffer"}""",
        ];
        var cut = Load(new() { OverLength = OverLength.Truncate }, 12, rows);
        var error = Assert.Throws<FaultException>(() => Load(new() { OverLength = OverLength.Error }, 12, rows));

        Assert.Equal(12, Assert.Single(cut.Rows).Length);
        Assert.Equal("nothing to learn in its first 12 tokens", Assert.Single(cut.Ledger.Dropped).Key);
        Assert.Equal(["train.jsonl:1", "train.jsonl:2"], error.Faults.Select(fault => fault.Pointer));
        Assert.Contains("2 dropped", Assert.Throws<FaultException>(() => Load(new(), 12, rows)).Faults.Single().Value, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"messages": [{"role": "narrator", "content": "A"}]}""", "narrator")]
    [InlineData("""{"messages": []}""", "[]")]
    [InlineData("""{"messages": "hello"}""", "hello")]
    [InlineData("""{"messages": [{"role": "assistant"}]}""", null)]
    [InlineData("""{"messages": [{"role": "assistant", "content": "x", "weight": 2}]}""", "2")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, {"role": "assistant", "content": "x"}]}""", null)]
    public void A_faulty_row_is_told_with_its_line(string row, string? value)
    {
        var fault = Assert.Throws<FaultException>(() => Load(new(), 64, """{"messages": [{"role": "assistant", "content": "fine"}]}""", row)).Faults.Single();

        Assert.Equal(("train.jsonl:2", value), (fault.Pointer, fault.Value));
    }

    [Fact]
    public void A_line_that_is_no_json_is_told_like_any_other_fault() => Assert.Equal(
        "train.jsonl:2", Assert.Throws<FaultException>(() => Load(new(), 64, """{"messages": [{"role": "assistant", "content": "fine"}]}""", "{")).Faults.Single().Pointer);

    [Fact]
    public void A_template_that_refuses_a_row_is_told_with_both_lines()
    {
        const string Strict = "{% for message in messages %}\n{% if message.role == 'system' %}{{ raise_exception('No system here.') }}{% endif %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% endfor %}";

        var fault = Assert.Throws<FaultException>(() => Load(new() { ChatTemplate = Strict }, 64, """{"messages": [{"role": "system", "content": "A"}, {"role": "assistant", "content": "B"}]}""")).Faults.Single();

        Assert.Equal("train.jsonl:1", fault.Pointer);
        Assert.Contains("chat_template:2:", fault.Message, StringComparison.Ordinal);
        Assert.Contains("No system here.", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_template_that_never_teaches_to_stop_is_refused()
    {
        var fault = Assert.Throws<FaultException>(() => Load(new() { ChatTemplate = NoTemplateEnd }, 64, """{"messages": [{"role": "assistant", "content": "B"}]}""")).Faults.Single();

        Assert.Equal("/task/chat_template", fault.Pointer);
        Assert.Contains("never stop", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Conversations_need_a_template()
    {
        var fault = Assert.Throws<FaultException>(() => Load(new(), 64, WithoutTemplate(), """{"messages": [{"role": "assistant", "content": "B"}]}""")).Faults.Single();

        Assert.Equal("/task/chat_template", fault.Pointer);
    }

    private string Learnt(string row, SftConfig? config = null, Tokenizer? tokenizer = null) =>
        LanguageFixtures.Show(Load(config ?? new(), 256, tokenizer ?? LanguageFixtures.Tokenizer, row).Rows.Single());

    private IReadOnlyList<TokenSequence> Rows(string row) => Load(new(), 256, row.ReplaceLineEndings("").Trim()).Rows;

    private (IReadOnlyList<TokenSequence> Rows, DataLedger Ledger) Load(SftConfig config, int maxLength, params string[] lines) => Load(config, maxLength, LanguageFixtures.Tokenizer, lines);

    private (IReadOnlyList<TokenSequence> Rows, DataLedger Ledger) Load(SftConfig config, int maxLength, Tokenizer tokenizer, params string[] lines)
    {
        var path = _files.Write("train.jsonl", lines);
        var dataset = SpecResolver.ResolveColumns(config, new DatasetSpec { Train = path }, [.. JsonDocument.Parse(lines[0]).RootElement.EnumerateObject().Select(member => member.Name)]);
        (IReadOnlyList<TokenSequence>, DataLedger)? read = null;
        TokenizedDataset.Build(draft =>
        {
            var (rows, ledger) = new SftData(config, dataset, tokenizer, maxLength, draft).Read(path);
            read = ([.. rows.Select(row => draft.Read(row.Tokens))], ledger);
        });
        return read!.Value;
    }

    /// <summary>The same tokenizer in a folder without a chat template.</summary>
    private Tokenizer WithoutTemplate()
    {
        var folder = Path.GetDirectoryName(_files.Write("none"))!;
        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
            File.Copy(Path.Combine(LanguageFixtures.TinyLlama, name), Path.Combine(folder, name), overwrite: true);
        return Tokenizer.Load(folder);
    }
}
