using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using FineTuneService.Training.Tokenization;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Tasks;

/// <summary>A decoder judges a text by its last token; config.json of the small Llama names no padding, its tokenizer pads with the end of text.</summary>
public sealed class LastTokenTests : IDisposable
{
    private readonly LanguageFixtures _files = new();
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        _files.Dispose();
    }

    [Fact]
    public void A_padded_batch_gives_what_each_row_gives_alone_and_transformers_finds_the_same_token()
    {
        var task = Load(LanguageFixtures.Tokenizer);
        var config = task.Configure(PretrainedConfig.Read(LanguageFixtures.TinyLlama));
        using var model = config.Create(ModelHead.SequenceClassification);
        var weights = new FullFineTuningConfig().Prepare(model, ModelHead.SequenceClassification, LanguageFixtures.TinyLlama, seed: 1);
        model.eval();
        using var _ = no_grad();

        var batch = task.Train.Collate([0, 1, 2]);
        var together = model.call(batch.Inputs);
        var alone = cat([.. Enumerable.Range(0, 3).Select(row => model.call(task.Train.Collate([row]).Inputs))]);
        Assert.Equal(0, (together - alone).abs().max().ToDouble(), 1e-5);
        var byIdAlone = model.call(new ModelInputs(batch.Inputs.InputIds)); // As transformers, which does not look at the mask.
        Assert.Equal(0, (together - byIdAlone).abs().max().ToDouble(), 1e-5);

        var folder = Path.GetDirectoryName(_files.Write("none"))!;
        weights.Save(folder);
        Assert.Equal(LanguageFixtures.Tokenizer.PadTokenId, (int?)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!["pad_token_id"]);
        Assert.Equal(0, (FineTunedFolder.Open(folder).Load(ModelHead.SequenceClassification).call(batch.Inputs) - together).abs().max().ToDouble());
    }

    [Fact]
    public void Rows_are_padded_with_the_end_of_sequence_where_there_is_no_padding_token()
    {
        var tokenizer = Tokenizer.Load(Words(("eos_token", "b")));
        var task = Load(tokenizer);

        Assert.Null(tokenizer.PadTokenId);
        Assert.Equal(1, task.Configure(PretrainedConfig.Read(LanguageFixtures.TinyLlama)).PadTokenId);
        Assert.Equal(1, task.Train.Collate([0, 1]).Inputs.InputIds[0, -1].ToInt64());
    }

    [Fact]
    public void The_tokenizers_padding_counts_where_config_names_another()
    {
        var task = Load(Tokenizer.Load(Words(("pad_token", "b"))));
        var config = PretrainedConfig.Read(LanguageFixtures.TinyLlama) with { PadTokenId = 7 };

        Assert.Equal(1, task.Configure(config).PadTokenId);
    }

    [Fact]
    public void Without_any_such_token_a_decoder_is_refused_and_an_encoder_is_not()
    {
        var task = Load(Tokenizer.Load(Words()));
        var bert = PretrainedConfig.Read(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "bert-mlm"));

        Assert.Equal("/base_model", Assert.Throws<FaultException>(() => task.Configure(PretrainedConfig.Read(LanguageFixtures.TinyLlama))).Faults[0].Pointer);
        Assert.Equal(0, task.Configure(bert).PadTokenId);
    }

    private TextClassificationTask Load(Tokenizer tokenizer)
    {
        var path = _files.Write("rows.csv", "text,label", "a,x", "a b a b a a a,y", "b a a,x");
        return (TextClassificationTask)new TextClassificationConfig().Load(
            new DatasetSpec { Train = path, TextColumn = "text", LabelColumn = "label", ValidationSplit = 0 }, new TrainingArguments { MaxLength = 16 }, tokenizer);
    }

    /// <summary>A tokenizer of the words a and b, in a folder.</summary>
    private string Words(params (string Name, string Token)[] special)
    {
        _files.Write("tokenizer_config.json", new JsonObject(special.Select(token => KeyValuePair.Create(token.Name, (JsonNode?)token.Token))).ToJsonString());
        var model = """{ "model": { "type": "WordLevel", "vocab": { "a": 0, "b": 1 }, "unk_token": "a" }, "pre_tokenizer": { "type": "WhitespaceSplit" } }""";
        return Path.GetDirectoryName(_files.Write("tokenizer.json", model))!;
    }
}
