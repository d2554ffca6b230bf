using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tests.Tokenization;
using FineTuneService.Training.Tokenization;
using TorchSharp;

namespace FineTuneService.Training.Tests.Generation;

/// <summary>A small Llama that has learnt nothing and tells bytes, in a folder of its own.</summary>
internal sealed class TinyModel : IDisposable
{
    private const int Vocabulary = 258, End = 257;

    public TinyModel(int maxPositions = 64, int seed = 1, ModelHead head = ModelHead.CausalLm, string extra = "")
    {
        var bytes = Enumerable.Range(0, 256).Select(value => ByteLevelAlphabet.Encode((byte)value).ToString());
        var vocabulary = string.Join(", ", bytes.Append("<pad>").Append("<end>").Select((token, id) => $"{GoldenTokenizers.Quote(token)}: {id}"));
        Folder = GoldenTokenizers.Write(
            ("tokenizer.json", $$"""
                { "model": { "type": "BPE", "vocab": { {{vocabulary}} }, "merges": [] }, "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "use_regex": false },
                  "decoder": { "type": "ByteLevel" }, "added_tokens": [{ "id": {{End}}, "content": "<end>", "special": true }] }
                """),
            ("config.json", $$"""
                { "model_type": "llama", "vocab_size": {{Vocabulary}}, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
                  "max_position_embeddings": {{maxPositions}}, "eos_token_id": {{End}}, "initializer_range": 0.4, "tie_word_embeddings": true {{extra}} }
                """));
        using var model = PretrainedConfig.Read(Folder).Create(head);
        using var generator = new torch.Generator((ulong)seed);
        model.InitializeWeights(model.state_dict().Keys.ToHashSet(), generator);
        PretrainedFolder.Save(Folder, model);
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
