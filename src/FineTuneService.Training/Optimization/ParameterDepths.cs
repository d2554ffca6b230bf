using System.Globalization;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;

namespace FineTuneService.Training.Optimization;

/// <summary>Where in a model a parameter lies, by its name: in the embeddings, in one of the blocks, or above them.</summary>
public sealed class ParameterDepths
{
    private readonly (string Path, int Count)[] _lists;

    public ParameterDepths(PretrainedModel model)
        : this(model.named_modules().Where(entry => entry.module is ICheckpointable).Select(entry => ($"{entry.name}.", entry.module.children().Count()))) { }

    /// <param name="lists">The lists of blocks: each one's path, with its full stop, and how many it has.</param>
    internal ParameterDepths(IEnumerable<(string Path, int Count)> lists) => _lists = [.. lists];

    /// <summary>Blocks of the model; of a pair of models, those of the deeper one.</summary>
    public int Blocks => _lists.Length == 0 ? 0 : _lists.Max(list => list.Count);

    /// <summary>The block that a parameter belongs to, from 0; null: none.</summary>
    public int? BlockOf(string parameter) => ListOf(parameter) is { } list ? int.Parse(parameter[list.Path.Length..].Split('.')[0], CultureInfo.InvariantCulture) : null;

    /// <summary>Tables of words and positions, and what normalises or widens them before the first block.</summary>
    public bool IsEmbedding(string parameter) =>
        BlockOf(parameter) is null && parameter.Split('.').Any(part => part.Contains("embed", StringComparison.Ordinal) || part is "wte" or "wpe");

    /// <summary>Layers between a parameter and the head: 0 for the head and what else comes after the last block, the number of blocks + 1 for embeddings.</summary>
    public int BelowHead(string parameter) =>
        BlockOf(parameter) is { } block ? ListOf(parameter)!.Value.Count - block
        : IsEmbedding(parameter) ? BlocksBeside(parameter) + 1
        : 0;

    private (string Path, int Count)? ListOf(string parameter) => _lists.Where(list => parameter.StartsWith(list.Path, StringComparison.Ordinal)).Select(list => ((string, int)?)list).FirstOrDefault();

    /// <summary>A pair of models has two lists of blocks: the one under the same field counts.</summary>
    private int BlocksBeside(string parameter) =>
        _lists.Where(list => list.Path.Split('.')[0] == parameter.Split('.')[0]).Select(list => list.Count).DefaultIfEmpty(Blocks).Max();
}
