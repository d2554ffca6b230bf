using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Tokenization;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

public sealed class TaggedWordsTests : IDisposable
{
    private const long None = LanguageModelLoss.Ignored;

    private readonly string _folder = Directory.CreateTempSubdirectory("tags-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Tags_are_names_or_numbers_with_names()
    {
        const string Names = """{"tokens":["Ada","sings"],"ner_tags":["B-PER","O"]}""", Numbers = """{"tokens":["Ada","sings"],"ner_tags":[1,0]}""";

        Assert.Equal(["B-PER", "O"], Load(Names).Labels);
        var numbered = Load(Numbers, ["O", "B-PER", "I-PER"]);
        Assert.Equal(["O", "B-PER", "I-PER"], numbered.Labels);
        Assert.Equal(["B-PER", "O"], numbered.Splits.Train[0].Tags);
        Assert.Equal(["0", "1"], Load(Numbers).Labels);
    }

    [Fact]
    public void Every_faulty_row_is_told_with_its_line()
    {
        var faults = Assert.Throws<FaultException>(() => Load(
            """
            {"tokens":["Ada","sings"],"ner_tags":["B-PER","O"]}
            {"tokens":["Ada","sings"],"ner_tags":["B-PER"]}
            {"tokens":"Ada sings","ner_tags":["O"]}
            {"tokens":["Ada"],"ner_tags":["X"]}
            {"tokens":["Ada"],"ner_tags":[7]}
            """,
            ["B-PER", "O"])).Faults;

        Assert.Equal(["train.jsonl:2", "train.jsonl:3", "train.jsonl:4", "train.jsonl:5"], faults.Select(fault => fault.Pointer));
        Assert.Equal("2 words, 1 tags", faults[0].Value);
    }

    /// <summary>As transformers' run_ner labels them.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_first_token_of_a_word_is_learnt_or_all_are(bool all)
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased"));
        var words = new TaggedWords(1, ["Unbelievably", "Katalinski", "sings"], ["O", "B-PER", "O"]);
        var texts = Tagged(TaggedTexts.Tokenize(words, new Dictionary<string, int> { ["O"] = 0, ["B-PER"] = 1, ["I-PER"] = 2 }, all, tokenizer, maxLength: 64));

        using var batch = texts.Collate([0]);
        var labels = batch.Labels.data<long>().ToArray();
        var encodings = words.Words.Select(word => tokenizer.Encode(word, addSpecialTokens: false).Ids.Length).ToArray();
        long[] expected =
        [
            None,
            0, .. Enumerable.Repeat(all ? 0 : None, encodings[0] - 1),
            1, .. Enumerable.Repeat(all ? 2 : None, encodings[1] - 1),
            0, .. Enumerable.Repeat(all ? 0 : None, encodings[2] - 1),
            None,
        ];
        Assert.True(encodings[1] > 1);
        Assert.Equal(expected, labels);
        Assert.Equal(labels.Count(label => label != None), batch.Targets);
    }

    [Fact]
    public void Words_beyond_the_longest_text_are_counted_as_lost()
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("roberta-base"));
        var tokens = TaggedTexts.Tokenize(new(1, ["one", "two", "three", "four"], ["O", "O", "O", "O"]), new Dictionary<string, int> { ["O"] = 0 }, false, tokenizer, maxLength: 5);

        using var batch = Tagged(tokens).Collate([0]);
        Assert.Equal(1, tokens.TruncatedTokens);
        Assert.Equal([None, 0, 0, 0, None], batch.Labels.data<long>().ToArray());
    }

    private static TaggedTexts Tagged((int[] Ids, int[] Labels, int TruncatedTokens) row) =>
        new(TokenizedDataset.Build(draft => draft.Write("train", [new(draft.Add(row.Ids, row.Labels))])).Train, padding: 0);

    private TaggedWordsData Load(string rows, IReadOnlyList<string>? names = null)
    {
        var path = Path.Combine(_folder, "train.jsonl");
        File.WriteAllText(path, rows);
        return TaggedWordsData.Load(new() { Train = path, ValidationSplit = 0, TokensColumn = "tokens", TagsColumn = "ner_tags" }, names, seed: 1);
    }
}
